"""What each step contributes, as rows for charts: how much smaller, more accurate, faster; in three ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.ablation import Contribution, ablation_view

__all__ = ["gains"]

Row = dict[str, Any]

_LEAST, _MOST = 1e-9, 1e18  # what a logarithmic axis can hold; no real figure lies outside


def gains(ablation: Mapping[str, Any] | None) -> list[Row]:
    """Return a row for each figure that is known of a step in an aspect; none without a valid ablation."""
    if ablation is None:
        return []
    return [
        {"step": row.step, "aspect": aspect.name, "meaning": aspect.meaning, **figure}
        for aspect in ablation_view(ablation).aspects
        for row in aspect.rows
        if row.numbers
        for figure in _figures(row, row.numbers)
    ]


def _figures(row: Contribution, numbers: Mapping[str, Any]) -> Iterator[Row]:
    yield {"what": "stored size", "value": _positive(numbers["size"]), "text": f"{row.size} smaller"}
    low, high = numbers["accuracy_interval"]
    yield {
        "what": "accuracy (test)",
        "value": 100 * numbers["accuracy"],
        "low": 100 * low,
        "high": 100 * high,
        "text": f"{row.accuracy}, {row.accuracy_verdict}",
    }
    if numbers["speedup"] is not None:
        low, high = numbers["speedup_interval"]
        yield {
            "what": "speed-up",
            "value": _positive(numbers["speedup"]),
            "low": _positive(low),
            "high": _positive(high),
            "text": f"{row.speedup}, {row.verdict}",
        }


def _positive(ratio: float) -> float:
    return min(max(ratio, _LEAST), _MOST)
