"""Submissions: chosen, built, validated, stamped and written. Nothing here is imported until a submission is needed."""
