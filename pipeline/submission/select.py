"""Choose the point of a sweep that is submitted. The test split plays no part, and neither does luck among seeds.

The rule, in order:
1. fewest limits of the experiment violated, then fewest undecided. Accuracy is read on the validation split, at the
   estimate (an interval on a few hundred images is wider than most limits, so bounds would choose whatever changes
   nothing; the chosen point is then decided on the test split, at the bound). Speed is decided at the bound, because no
   second measurement follows that could expose a lucky one. Where no goal mentions accuracy, a significant loss of
   validation accuracy counts as a violated limit.
2. the experiment's `minimize` and `maximize` goals, in order; without any, the smallest stored size.
3. ties: smaller stored size, higher validation accuracy, the earlier point.
Runs that differ in their seed only are one point: violations are added up, figures averaged, and the run of the first
seed is submitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.submission.candidate import Candidate
from pipeline.submission.compare import compare_accuracy
from pipeline.submission.goals import decide, limits_of
from pipeline.submission.metrics import METRICS

__all__ = [
    "Choice",
    "Point",
    "SPLIT",
    "choose",
    "constraints_on",
    "judge",
    "reason_of",
    "rule_of",
    "wishes_of",
]

SPLIT = "validation"
# the kinds of limit that are shares of 1 themselves
_SCALES = {"max_drop": 1.0, "max_increase": 1.0, "no_significant_loss": 1.0}
_LEAST_EXCESS = 1e-6  # of a limit that is not met although the estimate keeps it: its interval does not
Goals = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Choice:
    """The index of the chosen candidate, the rule as applied, why it won, and the constraints of each candidate."""

    index: int
    rule: str
    reason: str
    constraints: tuple[list[dict[str, Any]], ...]


@dataclass(frozen=True)
class Point:
    """Runs that differ in seed only, with what the rule orders them by."""

    members: tuple[int, ...]
    violated: int
    undecided: int
    wishes: tuple[float, ...]
    size_rank: float
    accuracy_rank: float

    def order(self) -> tuple[Any, ...]:
        """Return what the least of is chosen."""
        return (self.violated, self.undecided, self.wishes, self.size_rank, self.accuracy_rank, self.members)


def choose(candidates: Sequence[Candidate], goals: Goals) -> Choice:
    """Return which candidate to submit; raises ValueError if there is none."""
    if not candidates:
        raise ValueError("there is no run to choose from")
    constraints = tuple(constraints_on(candidate, goals) for candidate in candidates)
    groups: dict[str, list[int]] = {}
    for i, candidate in enumerate(candidates):
        groups.setdefault(json.dumps(candidate.point, sort_keys=True), []).append(i)
    points = [_point(tuple(members), candidates, constraints, goals) for members in groups.values()]
    best = min(points, key=Point.order)
    return Choice(best.members[0], rule_of(goals), reason_of(best, points), constraints)


def judge(members: Sequence[Candidate], goals: Goals) -> dict[str, Any]:
    """Return the score of one point from its runs, which differ in their seed only, as JSON values.

    `violated` and `undecided` count limits; `wishes` are the figures to make small, in the order of the goals (the
    stored size where the goals wish for nothing), each with its sign turned where it is to be maximized; `ties` are
    those that decide between equal points. Of each limit, `excess` has by how much it is exceeded, as a share of it (of
    1 for a loss of accuracy): at most 0 where it is met, averaged over the seeds.
    """
    constraints = [constraints_on(candidate, goals) for candidate in members]
    point = _point(tuple(range(len(members))), members, constraints, goals)
    by_limit = list(zip(*constraints, strict=True))
    return {
        "violated": point.violated,
        "undecided": point.undecided,
        "wishes": list(point.wishes or (point.size_rank,)),
        "ties": [point.size_rank, point.accuracy_rank],
        "excess": [sum(map(_excess, records)) / len(records) for records in by_limit],
    }


def _excess(record: Mapping[str, Any]) -> float:
    """Return how far a figure is beyond its limit; never above 0 where that is met, never below where it is not."""
    limit, measured = record["limit"] or 0.0, record["measured"]
    beyond: float = (limit - measured if record["limit_kind"] == "at_least" else measured - limit) / _SCALES.get(
        record["limit_kind"], abs(limit) or 1.0
    )
    if record["status"] == "met":
        return min(beyond, 0.0)
    return max(beyond, _LEAST_EXCESS)


def constraints_on(candidate: Candidate, goals: Goals) -> list[dict[str, Any]]:
    """Return the limits as the choice reads them."""
    decided = [decide(limit, candidate, SPLIT, at_estimate=True) for limit in limits_of(goals)]
    if not _mentions_accuracy(goals):
        decided.append(_no_significant_loss(candidate))
    return decided


def _mentions_accuracy(goals: Goals) -> bool:
    named = {goal.get(key) for goal in goals for key in ("metric", "minimize", "maximize")}
    return any(METRICS[name].kind == "accuracy" for name in named if name is not None)


def _no_significant_loss(candidate: Candidate) -> dict[str, Any]:
    comparison = compare_accuracy(candidate, SPLIT)
    lost = comparison["verdict"] == "significantly worse"
    return {
        "metric": "accuracy",
        "limit_kind": "no_significant_loss",
        "limit": None,
        "split": SPLIT,
        "unit": "points",
        "measured": 0.0 - comparison["delta"],
        "interval": [0.0 - comparison["interval"][1], 0.0 - comparison["interval"][0]],
        "status": "not_met" if lost else "met",
        "reason": f"McNemar's test: {comparison['verdict']}",
    }


def _point(
    members: tuple[int, ...], candidates: Sequence[Candidate], constraints: Sequence[list[dict[str, Any]]], goals: Goals
) -> Point:
    statuses = [record["status"] for i in members for record in constraints[i]]
    runs = [candidates[i] for i in members]
    return Point(
        members,
        statuses.count("not_met"),
        statuses.count("inconclusive"),
        tuple(_rank(name, sign, runs) for name, sign in wishes_of(goals)),
        _rank("size_bytes", 1.0, runs),
        _rank("accuracy", -1.0, runs),
    )


def wishes_of(goals: Goals) -> list[tuple[str, float]]:
    """Return (metric, +1 to minimize or -1 to maximize) in the order of the goals."""
    signs = (("minimize", 1.0), ("maximize", -1.0))
    return [(goal[key], sign) for goal in goals for key, sign in signs if goal.get(key) is not None]


def _rank(name: str, sign: float, runs: Sequence[Candidate]) -> float:
    """Return the mean over seeds, negated for what is to be maximized."""
    return sign * sum(METRICS[name].read(run, SPLIT).estimate for run in runs) / len(runs)


def rule_of(goals: Goals) -> str:
    """Return the rule of the choice in words."""
    wishes = [f"{key} {goal[key]}" for goal in goals for key in ("minimize", "maximize") if goal.get(key) is not None]
    guard = "" if _mentions_accuracy(goals) else " (a significant loss of accuracy counts as one)"
    return (
        f"on the validation split: fewest limits violated{guard}, then fewest undecided, then "
        f"{', then '.join(wishes) or 'minimize size_bytes'}; ties: smaller size, higher accuracy, earlier point"
    )


def reason_of(best: Point, points: Sequence[Point]) -> str:
    """Return why the best of the points is chosen."""
    return f"{_choice(best, points)}{_seeds(best)}"


def _seeds(best: Point) -> str:
    count = len(best.members)
    return f"; its {count} seeds are judged together and the first of them is submitted" if count > 1 else ""


def _choice(best: Point, points: Sequence[Point]) -> str:
    if len(points) == 1:
        return "the only point"
    if best.violated:
        return f"no point keeps every limit; this one violates the fewest ({best.violated})"
    if best.undecided:
        return "no point keeps every limit for certain; this one leaves the fewest undecided"
    clean = sum(not point.violated and not point.undecided for point in points)
    return (
        f"the best of the {clean} points that keep every limit on the validation split"
        if clean > 1
        else "the only point that keeps every limit on the validation split"
    )
