"""What a schema cannot say about peers in a submission: each is timed and was checked before, or there is a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["broken_peers"]

Path = tuple[str | int, ...]


def broken_peers(record: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    """Yield (path, what is wrong there) for every comparison with a peer that contradicts itself."""
    for i, comparison in enumerate(record["comparisons"]):
        yield from _comparison(comparison, (*path, "comparisons", i))


def _comparison(comparison: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    ratio, reason, outputs = comparison["ratio"], comparison["reason"], comparison["outputs"]
    if (ratio is None) == (not reason):
        yield (*path, "reason"), "expected why there is no ratio, and null if there is one"
    if (ratio is None) != (comparison["verdict"] is None):
        yield (*path, "verdict"), "expected a verdict on a ratio, and null without one"
    if ratio is None:
        return
    if outputs is None or not outputs["same"]:
        yield (*path, "outputs"), "expected outputs that are the same, because it was timed"
    low, high = ratio["interval"]
    if not 0 < low <= ratio["estimate"] <= high:
        yield (*path, "ratio", "interval"), f"found [{low}, {high}], expected positive bounds around the estimate"
