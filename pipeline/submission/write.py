"""Turn a submission into the text of its file.

The same values always give the same bytes: the keys of version 1 come first, in the course's order, then ours; within
them keys are sorted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["dump_submission"]

_FIRST = (
    "tinytorch_version",
    "submission_type",
    "schema_version",
    "migrated",
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
    "evidence",
)


def dump_submission(submission: Mapping[str, Any]) -> str:
    """Return the submission as indented JSON that ends with a newline; raises ValueError for NaN and infinities."""
    known = [key for key in _FIRST if key in submission]
    rest = sorted(key for key in submission if key not in _FIRST)
    ordered = {key: _sorted(submission[key]) for key in [*known, *rest]}
    return json.dumps(ordered, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value
