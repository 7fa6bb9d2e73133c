"""Turn a submission into the bytes of its file, and put them there in one step.

The same values always give the same bytes: the keys of version 1 come first, in the course's order, then ours; within
them keys are sorted. A new file replaces the old one whole, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.store.objects import write_atomically

__all__ = ["dump_submission", "write_submission"]

_FIRST = (
    "tinytorch_version",
    "submission_type",
    "schema_version",
    "timestamp",
    "student_name",
    "system_info",
    "baseline",
    "optimized",
    "improvements",
    "comparisons",
    "constraints",
    "measurement",
    "accuracy",
    "size",
    "warnings",
    "experiment",
    "selection",
    "effects",
    "benchmark",
    "profile",
    "machine",
    "provenance",
)


def dump_submission(submission: Mapping[str, Any]) -> str:
    """Return the submission as indented JSON that ends with a newline; raises ValueError for NaN and infinities."""
    known = [key for key in _FIRST if key in submission]
    rest = sorted(key for key in submission if key not in _FIRST)
    ordered = {key: _sorted(submission[key]) for key in [*known, *rest]}
    return json.dumps(ordered, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_submission(submission: Mapping[str, Any], path: Path) -> None:
    """Write the submission to a file, replacing it whole.

    It has to be valid: the submit stage checks what it builds, and `stamp` keeps it so. Nothing is checked again here,
    so that a run in which nothing has to be done needs no jsonschema.
    """
    write_atomically(path, dump_submission(submission).encode())


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value
