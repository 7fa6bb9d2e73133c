"""What a reader needs to know of points beside those in the table: how they were searched for, and which failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FailedPoint", "failed_points", "failed_title", "search_text"]

Document = Mapping[str, Any]


@dataclass(frozen=True)
class FailedPoint:
    """A point without a result: its settings, the step that failed, and its message."""

    label: str
    node: str
    reason: str


def failed_points(selection: Document) -> tuple[FailedPoint, ...]:
    """Return the points that failed, in order."""
    return tuple(
        FailedPoint(point["label"] or "the only point", point["node"], " ".join(point["reason"].split()))
        for point in selection.get("failed", ())
    )


def failed_title(selection: Document) -> str:
    """Return the heading of the points that failed, "" where none did."""
    failed = selection.get("failed")
    return f"{_number(len(failed), 'point')} failed and took no part" if failed else ""


def search_text(selection: Document) -> str:
    """Return how points were searched for in words, "" where they were listed."""
    search = selection.get("search")
    if search is None:
        return ""
    repeated = f", {search['repeated']:,} of them repeated" if search["repeated"] else ""
    rungs = ", ".join(f"{_number(rung['points'], 'point')} with {rung['resource']:g}" for rung in search["rungs"])
    return (
        f"searched by {search['strategy']} ({search['sampler']}, seed {search['seed']}) to "
        f"{', '.join(search['objectives'])}: {_number(search['trials'], 'trial')}{repeated}"
        f"{f'; {rungs}' if rungs else ''}"
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
