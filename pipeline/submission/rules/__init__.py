"""What a schema cannot say about a submission: rules by their ids (`table`), one file for each group of them."""

from pipeline.submission.rules.missing import broken_rules

__all__ = ["broken_rules"]
