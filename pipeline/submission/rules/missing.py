"""What a schema cannot say about a submission of version 2: no figure is missing without its reason.

Rules take a document that its schema allows. Whether figures agree with the samples is not checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.submission.peers import broken_peers

__all__ = ["broken_rules"]

Path = tuple[str | int, ...]
Broken = tuple[Path, str]

_NO_REASON = "found null, expected a figure, or its reason in {}"
_NO_GAP = "found a reason, expected none for a figure that is there"
# objects of figures by name, and of why some are null
_REASONED_BY_NAME = (
    ("percentiles", "percentile_reasons"),
    ("percentile_intervals", "percentile_interval_reasons"),
    ("quantities", "quantity_reasons"),
)
_MACHINE_FACTS = ("caches", "container", "cpu", "flags", "governor", "memory_bytes", "turbo", "virtual")


def broken_rules(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield (path, what is wrong there) for every rule that a document of version 2 breaks."""
    for i, comparison in enumerate(document["benchmark"]["comparisons"]):
        for side, arm in comparison["arms"].items():
            yield from _arm(arm, ("benchmark", "comparisons", i, "arms", side))
        yield from _server(comparison, ("benchmark", "comparisons", i))
    yield from _reasoned(document["comparisons"]["speed"], "adjusted_p_value", ("comparisons", "speed"))
    yield from _machine(document["machine"], ("machine",))
    if document["profile"] is not None:
        yield from _machine(document["profile"]["machine"], ("profile", "machine"))
    yield from _selection(document["selection"])
    for i, record in enumerate(document.get("loadgen", ())):
        yield from _loadgen(record, ("loadgen", i))
    if "peers" in document:
        yield from _machine(document["peers"]["machine"], ("peers", "machine"))
        yield from broken_peers(document["peers"], ("peers",))


def _arm(arm: Mapping[str, Any], path: Path) -> Iterator[Broken]:
    for figures, reasons in _REASONED_BY_NAME:
        yield from _named(arm.get(figures, {}), arm.get(reasons, {}), path, figures, reasons)
    if arm["peak_rss_bytes"] is None and not arm["peak_rss_reason"]:
        yield (*path, "peak_rss_bytes"), _NO_REASON.format("peak_rss_reason")
    if arm["peak_rss_bytes"] is not None and arm["peak_rss_reason"] is not None:
        yield (*path, "peak_rss_reason"), _NO_GAP


def _named(
    figures: Mapping[str, Any], reasons: Mapping[str, Any], path: Path, figures_key: str, reasons_key: str
) -> Iterator[Broken]:
    for name, value in figures.items():
        if value is None and not reasons.get(name):
            yield (*path, figures_key, name), _NO_REASON.format(reasons_key)
    for name in reasons:
        if figures.get(name) is not None:
            yield (*path, reasons_key, name), _NO_GAP


def _server(comparison: Mapping[str, Any], path: Path) -> Iterator[Broken]:
    server = comparison["server"]
    if (comparison["scenario"] == "server") != (server is not None):
        yield (*path, "server"), "expected rates in the scenario server, and null in every other"
    if (comparison["scenario"] == "generate") != ("generate" in comparison):
        yield (*path, "scenario"), "expected what generating texts took in the scenario generate, and only there"
    for name, found in comparison.get("generate", {"variants": {}})["variants"].items():
        if (found["tokens_per_s"] is None or found["speedup"] is None) and not found["reason"]:
            yield (*path, "generate", "variants", name), _NO_REASON.format("reason")
    for side, arm in (server or {"arms": {}})["arms"].items():
        for name in ("rate_per_s", "p99_ns"):
            yield from _reasoned(arm, name, (*path, "server", "arms", side))


def _reasoned(record: Mapping[str, Any], name: str, path: Path) -> Iterator[Broken]:
    reason = f"{name}_reason"
    if record[name] is None and not record[reason]:
        yield (*path, name), _NO_REASON.format(reason)
    if record[name] is not None and record[reason] is not None:
        yield (*path, reason), _NO_GAP


def _loadgen(record: Mapping[str, Any], path: Path) -> Iterator[Broken]:
    result = record["result"]
    if result is None and not record["reason"]:
        yield (*path, "result"), _NO_REASON.format("reason")
    if result is not None and record["reason"] is not None:
        yield (*path, "reason"), _NO_GAP
    if result is not None:
        yield from _reasoned(result, "speedup", (*path, "result"))
        for side, arm in result["arms"].items():
            for k, run in enumerate(arm["runs"]):
                if run["validity"] == "INVALID" and not run["reasons"]:
                    where = (*path, "result", "arms", side, "runs", k, "reasons")
                    yield where, "found an invalid run, expected why it is invalid"


def _machine(machine: Mapping[str, Any], path: Path) -> Iterator[Broken]:
    for name in _MACHINE_FACTS:
        if machine[name] is None and name not in machine["missing"]:
            yield (*path, name), _NO_REASON.format("missing")


def _selection(selection: Mapping[str, Any]) -> Iterator[Broken]:
    points = selection["points"]
    indexes = [point["index"] for point in points]
    for i, point in enumerate(points):
        yield from _reasoned(point, "adjusted_p_value", ("selection", "points", i))
        if point["index"] in indexes[:i]:
            yield ("selection", "points", i, "index"), f"found {point['index']} again, expected an index of its own"
    if selection["chosen"] not in indexes:
        yield ("selection", "chosen"), f"found {selection['chosen']}, expected the index of one of the points"
    for i, point in enumerate(selection.get("failed", ())):
        if point["index"] in indexes:
            yield ("selection", "failed", i, "index"), f"found {point['index']}, which is the index of another point"
        indexes.append(point["index"])
    if selection["tried"] != len(points):
        yield ("selection", "tried"), f"found {selection['tried']}, expected the number of points, {len(points)}"
