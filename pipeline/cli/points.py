"""What is known of single points after a run of a part: there is no submission then that would show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.plan import Plan, RunNodes
from pipeline.execute.scheduler import NodeResult
from pipeline.report.text import Cell, Table, printable
from pipeline.store.local import LocalStore
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["point_figures", "points_table"]

_MOST = 40  # that the text lists


def point_figures(plan: Plan, results: Mapping[str, NodeResult], store: LocalStore) -> list[dict[str, Any]]:
    """Return for each point that was evaluated its figures on the validation split, and its timing where there is one.

    Points are chosen by these, never by the test split. Raises CorruptObject when a stored result is damaged.
    """
    read = _Reader(results, store)
    return [found for nodes in plan.runs if (found := _figures(nodes, read))]


def points_table(points: Sequence[Mapping[str, Any]], width: int, *, colour: bool) -> str:
    """Return the figures as a table, at most 40 rows."""
    rows = [
        [
            Cell(printable(point["label"]) or "optimized"),
            Cell(quantity(point["accuracy"], "share")),
            Cell(quantity(point["accuracy_change"], "points")),
            Cell(quantity(point["size_bytes"], "B")),
            Cell(quantity(point["compression"], "ratio")),
            Cell(with_interval(point["speedup"], point["speedup_interval"], "ratio")),
            Cell(printable(point["verdict"] or "")),
        ]
        for point in points[:_MOST]
    ]
    header = ("point", "val.", "change", "size", "smaller", "speed-up", "verdict")
    lines = Table(header, rows, right=range(1, 6)).lines(width, colour)
    more = [f"{len(points) - _MOST} more points: --json lists them"] if len(points) > _MOST else []
    return "\n".join([*lines, *more])


class _Reader:
    """Reads what nodes gave, each artifact once: points share their baseline."""

    def __init__(self, results: Mapping[str, NodeResult], store: LocalStore) -> None:
        self._results = results
        self._store = store
        self._known: dict[str, Any] = {}

    def __call__(self, node: str, role: str) -> Any:
        result = self._results.get(node)
        if result is None or result.record is None:
            return None
        digest = result.record.outputs[role].digest
        if digest not in self._known:
            self._known[digest] = json.loads(self._store.read(digest))
        return self._known[digest]


def _figures(nodes: RunNodes, read: _Reader) -> dict[str, Any] | None:
    baseline, optimized = read(nodes.evaluate_baseline, "metrics"), read(nodes.evaluate_optimized, "metrics")
    if baseline is None or optimized is None:
        return None
    benchmark = read(nodes.benchmark, "benchmark")
    speed = benchmark["comparisons"][0] if benchmark else None
    before, after = (metrics["validation"]["accuracy"] for metrics in (baseline, optimized))
    return {
        "number": nodes.run.index + 1,
        "label": nodes.run.label,
        "accuracy": after,
        "accuracy_change": after - before,
        "size_bytes": optimized["stored_bytes"],
        "compression": baseline["stored_bytes"] / optimized["stored_bytes"],
        "speedup": speed["speedup"]["estimate"] if speed else None,
        "speedup_interval": speed["speedup"]["interval"] if speed else None,
        "verdict": speed["verdict"] if speed else None,
    }
