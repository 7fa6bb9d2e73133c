"""Fuzzing of whatever reads a file of unknown origin: `python -m tests.fuzz [--count N] [--seed S] [KIND ...]`."""
