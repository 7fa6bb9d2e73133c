"""The choice: made on the validation split, among the points listed, by the rule that the goals ask for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.stats.accuracy import accuracy_record
from pipeline.submission.rules.agree import disagreements, shown
from pipeline.submission.select import SPLIT, Point, reason_of, rule_of, wishes_of

__all__ = ["broken_choice"]

Broken = tuple[str, tuple[str | int, ...], str]
Record = Mapping[str, Any]

# metric -> where a point's record has it; throughput is not in it, nor are times of texts that are continued
_FIGURES: dict[str, Callable[[Record], float]] = {
    "accuracy": lambda point: point["accuracy"][SPLIT]["accuracy"],
    "compression": lambda point: point["compression_ratio"],
    "perplexity": lambda point: point.get("perplexity", {}).get(SPLIT, math.inf),
    "latency_ms": lambda point: point["latency_median_ns"] / 1e6,
    "size_bytes": lambda point: point["stored_bytes"],
    "speedup": lambda point: point["speedup"]["estimate"],
}


def broken_choice(document: Record, goals: list[Mapping[str, Any]]) -> Iterator[Broken]:
    """Yield (rule, path, message) for what the selection says that its points contradict."""
    selection = document["selection"]
    points = selection["points"]
    if selection["split"] != SPLIT:
        yield "R042", ("selection", "split"), f"found {selection['split']!r}, expected {SPLIT!r}"
    for i, point in enumerate(points):
        for k, record in enumerate(point["constraints"]):
            if record["split"] not in (SPLIT, None):
                where = ("selection", "points", i, "constraints", k, "split")
                yield "R042", where, f"found {record['split']!r}, expected {SPLIT!r}"
        (low, high), estimate = point["speedup"]["interval"], point["speedup"]["estimate"]
        if not low <= estimate <= high:
            message = f"found {estimate}, expected an estimate within its interval, {low} to {high}"
            yield "R041", ("selection", "points", i, "speedup"), message
        if not any("data" in key for key in point["point"]):  # else a point's splits are others than those counted
            yield from _accuracies(point, document["provenance"]["data"]["counts"], ("selection", "points", i))
            if ("perplexity" in point) != ("language" in document):
                wants = "language" in document
                message = "found none, expected that of a text" if wants else "found one, expected none: no text"
                yield "R041", ("selection", "points", i, "perplexity"), message
        if point["compared"] != selection["tried"]:
            message = f"found {point['compared']}, expected {selection['tried']}, the points tried"
            yield "R041", ("selection", "points", i, "compared"), message
    if selection["rule"] != (rule := rule_of(goals)):
        yield "R043", ("selection", "rule"), f"found {shown(selection['rule'])}, expected {rule!r}, as the goals ask"
    yield from _chosen(selection, goals)


def _accuracies(point: Record, counts: Mapping[str, int], path: tuple[str | int, ...]) -> Iterator[Broken]:
    """Yield accuracies that are no number of right answers, and intervals that are not Wilson's of them."""
    for split, found in point["accuracy"].items():
        if not counts[split]:
            continue
        expected = accuracy_record(round(found["accuracy"] * counts[split]), counts[split])
        wanted = {key: expected[key] for key in ("accuracy", "interval")}
        for where, message in disagreements({key: found[key] for key in wanted}, wanted):
            yield "R041", (*path, "accuracy", split, *where), message


def _chosen(selection: Record, goals: list[Mapping[str, Any]]) -> Iterator[Broken]:
    wishes = wishes_of(goals)
    if any(name not in _FIGURES for name, _ in wishes):
        return
    groups: dict[str, list[int]] = {}
    for i, point in enumerate(selection["points"]):
        groups.setdefault(json.dumps(point["point"], sort_keys=True), []).append(i)
    points = [_point(tuple(members), selection["points"], wishes) for members in groups.values()]
    best = min(points, key=Point.order)
    index = selection["points"][best.members[0]]["index"]
    if selection["chosen"] != index:
        yield "R043", ("selection", "chosen"), f"found {selection['chosen']}, expected {index}, which the rule chooses"
    elif selection["reason"] != reason_of(best, points):
        found = shown(selection["reason"])
        yield "R043", ("selection", "reason"), f"found {found}, expected {reason_of(best, points)!r}"


def _point(members: tuple[int, ...], points: Sequence[Record], wishes: Sequence[tuple[str, float]]) -> Point:
    statuses = [record["status"] for i in members for record in points[i]["constraints"]]

    def rank(name: str, sign: float) -> float:
        try:
            return sign * math.fsum(_FIGURES[name](points[i]) for i in members) / len(members)
        except OverflowError:  # figures beyond reason, which nobody measured
            return sign * math.inf

    return Point(
        members,
        statuses.count("not_met"),
        statuses.count("inconclusive"),
        tuple(rank(name, sign) for name, sign in wishes),
        rank("size_bytes", 1.0),
        rank("accuracy", -1.0),
    )
