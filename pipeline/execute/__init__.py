"""Decides what has to run and runs it."""
