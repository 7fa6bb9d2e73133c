"""The points of a submission as CSV (RFC 4180): one row each, figures as plain numbers, for a spreadsheet or a script.

A text that a spreadsheet would take for a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from pipeline.report.text import printable
from pipeline.report.view import make_view
from pipeline.submission.measured import is_measured

__all__ = ["render"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(submission: Mapping[str, Any]) -> str:
    """Return a header and a row for each point; of version 1, which has no points, a row for each figure."""
    rows = _points(submission) if is_measured(submission) else _figures(submission)
    header = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, [_cell(name) for name in header], lineterminator="\n")
    writer.writeheader()
    writer.writerows({_cell(name): _cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _points(submission: Mapping[str, Any]) -> list[dict[str, Any]]:
    selection, shown = submission["selection"], make_view(submission).points
    rows = []
    for point, view in zip(selection["points"], shown, strict=True):
        validation, test = (point["accuracy"][split] for split in ("validation", "test"))
        rows.append(
            {
                "point": point["label"],
                "seed": point["seed"],
                "submitted": view.is_chosen,
                "front": view.is_front,
                **{f"at {name}": value for name, value in point["point"].items()},
                "validation_accuracy": validation["accuracy"],
                "validation_low": validation["interval"][0],
                "validation_high": validation["interval"][1],
                "test_accuracy": test["accuracy"],
                "test_low": test["interval"][0],
                "test_high": test["interval"][1],
                "test_verdict": test["verdict"],
                "stored_bytes": point["stored_bytes"],
                "compression_ratio": point["compression_ratio"],
                "latency_median_ns": point["latency_median_ns"],
                "speedup": point["speedup"]["estimate"],
                "speedup_low": point["speedup"]["interval"][0],
                "speedup_high": point["speedup"]["interval"][1],
                "verdict": point["verdict"],
                "simulated": point["simulated"],
                "misses": view.violated,
            }
        )
    return rows


def _figures(submission: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"figure": row.name, "baseline": row.baseline.full, "optimized": row.optimized.full, "change": row.change.full}
        for row in make_view(submission).figures
    ]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return repr(value)
    if value is None:
        return ""
    text = printable(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
    return f"'{text}" if text.startswith(_FORMULA) else text
