"""Who wins among the submissions that keep a competition's limits: the one that counts for each team, ranks, and ties.

Pure: attempts in, places out. What a submission's figures are, and whether it may be ranked at all, is asked elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

from pipeline.stats.paired import paired_difference

__all__ = [
    "Answers",
    "Attempt",
    "Place",
    "Score",
    "Standing",
    "is_significantly_better",
    "is_significantly_more_right",
    "places",
    "standing",
]

_CONFIDENCE = 0.95  # of every interval in a submission
_PAIRED = "accuracy.optimized.test.accuracy"  # the figure of which the single answers are known
_Rule = tuple[int, bool]  # of a figure: 1 if more is better, else -1; whether it is compared on the same items


class Score(NamedTuple):
    """A figure that ranks, with its 95 % interval, which contains it; an exact figure is its own interval."""

    value: float
    low: float
    high: float

    @property
    def is_exact(self) -> bool:
        """Whether it was counted, not measured."""
        return self.low == self.high

    def turned(self) -> Score:
        """Return the score of which more is better, if less of this one is."""
        return Score(-self.value, -self.high, -self.low)


class Answers(NamedTuple):
    """Which of so many test items were answered right: the bits of a whole number, the first item's the lowest."""

    items: int
    right: int


@dataclass(frozen=True)
class Attempt:
    """A submission that keeps every limit: `moment` is when it was measured, `scores` those of the ranking, in order.

    The first score decides; the others may be None where a submission has no such figure. `answers` are None where
    nothing proves them.
    """

    team: str
    path: str
    moment: str
    scores: tuple[Score | None, ...]
    answers: Answers | None = None


@dataclass(frozen=True)
class Standing:
    """What counts for a team, and path -> why of its attempts that do not."""

    attempt: Attempt
    passed_over: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """The rank of a team's attempt: 1 is best, and those who share one are followed by the rank of their number.

    `position` counts through those who share a rank, in the order of the further figures.
    """

    position: int
    rank: int
    is_shared: bool
    attempt: Attempt


def standing(attempts: Iterable[Attempt], terms: Mapping[str, Any]) -> dict[str, Standing]:
    """Return team -> what counts for it, by a competition's `ranking` and `ladder`.

    With the ladder an attempt counts only if it is significantly better than the one that counted before, so that who
    tries often does not climb by luck (A. Blum and M. Hardt, "The Ladder", ICML 2015, with the step that the intervals
    give instead of a fixed one). Accuracies are compared on the same items, where the answers are known. Without the
    ladder the best counts. Attempts are taken in the order of their measurement.
    """
    ladder, directions = terms["ladder"], _directions(terms)
    paired = [ranked["path"] == _PAIRED for ranked in _ranked(terms)]
    teams: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda one: (one.moment, one.path)):
        teams.setdefault(attempt.team, []).append(attempt)
    if ladder["enabled"]:
        rules = list(zip(directions, paired, strict=True))
        return {team: _climbed(found, rules, ladder["confidence"]) for team, found in teams.items()}
    return {team: _best(found, directions) for team, found in teams.items()}


def places(attempts: Iterable[Attempt], terms: Mapping[str, Any]) -> list[Place]:
    """Return one place for each attempt, best first, by a competition's `ranking`.

    The best of those that are left leads a rank, and shares it with those that follow it as far as their intervals
    overlap its own (or, if the competition says `equal`, their figures are the same). The first that differs from the
    leader leads the next rank: a wide interval does not lift anybody over a surer figure in between. Intervals of 95 %
    that just touch are those of independent figures that differ at p = 0.006, so who shares a rank may differ, and who
    does not certainly does. Within a rank the further figures order.
    """
    directions, by_interval = _directions(terms), terms["ranking"]["ties"] == "overlapping_intervals"
    left = sorted(attempts, key=lambda one: _order(one, directions))
    found: list[Place] = []
    while left:
        leader = _primary(left[0], directions)
        size = 1
        while size < len(left) and _ties(leader, _primary(left[size], directions), by_interval=by_interval):
            size += 1
        shared, left = left[:size], left[size:]
        shared.sort(key=lambda one: (*_further(one, directions), _order(one, directions)))
        rank = len(found) + 1
        found += [Place(rank + i, rank, size > 1, one) for i, one in enumerate(shared)]
    return found


def is_significantly_better(one: Score, other: Score, confidence: float) -> bool:
    """Say whether the first is greater at a one-sided confidence; what is exact needs only to be greater.

    The lower bound of the difference of independent figures is put together from their bounds that face each other
    (MOVER: G. Y. Zou and A. Donner, Statistics in Medicine 27:1693, 2008), which holds for lopsided intervals, too.
    """
    gap = one.value - other.value
    scale = NormalDist().inv_cdf(confidence) / NormalDist().inv_cdf(0.5 + _CONFIDENCE / 2)
    return gap > scale * math.hypot(one.value - one.low, other.high - other.value)


def is_significantly_more_right(one: Answers, other: Answers, confidence: float) -> bool:
    """Say whether the first answers more of the same items right, at a one-sided confidence.

    By the lower bound of the paired difference (`pipeline.stats.paired`): most errors of two models of a team are the
    same, so that it finds steps that two intervals side by side hide. Raises ValueError for other numbers of items.
    """
    if one.items != other.items:
        raise ValueError(f"answers to {one.items} and to {other.items} items are not paired")
    lost, won = (other.right & ~one.right).bit_count(), (one.right & ~other.right).bit_count()
    _, (low, _) = paired_difference(lost, won, one.items, 2 * confidence - 1)
    return low > 0


def _climbed(attempts: Sequence[Attempt], rules: Sequence[_Rule], confidence: float) -> Standing:
    """Return the last attempt that was significantly better than the one before it that counted."""
    counted, passed_over = attempts[0], {}
    for attempt in attempts[1:]:
        if _is_step(attempt, counted, rules, confidence):
            passed_over[counted.path] = f"{attempt.path} is significantly better"
            counted = attempt
        else:
            passed_over[attempt.path] = (
                f"not significantly better than {counted.path}, which counts (Ladder rule, {confidence:.0%} confidence)"
            )
    return Standing(counted, passed_over)


def _is_step(attempt: Attempt, counted: Attempt, rules: Sequence[_Rule], confidence: float) -> bool:
    """Compare by the first figure; where that is exact and the same, by the next one."""
    for place, (direction, is_paired) in enumerate(rules):
        one, other = _turned(attempt.scores[place], direction), _turned(counted.scores[place], direction)
        if one is None or other is None:
            return False
        if one.is_exact and other.is_exact and one.value == other.value:
            continue
        answers = attempt.answers, counted.answers
        if is_paired and answers[0] and answers[1] and answers[0].items == answers[1].items:
            return direction > 0 and is_significantly_more_right(answers[0], answers[1], confidence)
        return is_significantly_better(one, other, confidence)
    return False


def _best(attempts: Sequence[Attempt], directions: Sequence[int]) -> Standing:
    best = min(attempts, key=lambda one: _order(one, directions))
    return Standing(best, {one.path: f"{best.path} is better" for one in attempts if one is not best})


def _directions(terms: Mapping[str, Any]) -> list[int]:
    """Return for each figure that ranks 1 if more is better, else -1."""
    return [1 if ranked["best"] == "highest" else -1 for ranked in _ranked(terms)]


def _ranked(terms: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [terms["ranking"]["primary"], *terms["ranking"]["then"]]


def _turned(score: Score | None, direction: int) -> Score | None:
    return score.turned() if score is not None and direction < 0 else score


def _primary(attempt: Attempt, directions: Sequence[int]) -> Score:
    score = _turned(attempt.scores[0], directions[0])
    if score is None:
        raise ValueError(f"{attempt.path} has no score and cannot be ranked")
    return score


def _order(attempt: Attempt, directions: Sequence[int]) -> tuple[Any, ...]:
    """Return what sorts the best first; the earlier one where all figures are the same."""
    return -_primary(attempt, directions).value, *_further(attempt, directions), attempt.moment, attempt.path


def _further(attempt: Attempt, directions: Sequence[int]) -> tuple[float, ...]:
    """Return the further figures, smallest best; a missing one is worse than any."""
    rest = zip(attempt.scores[1:], directions[1:], strict=True)
    return tuple(math.inf if score is None else -direction * score.value for score, direction in rest)


def _ties(leader: Score, other: Score, *, by_interval: bool) -> bool:
    """Tell whether a score that is not above the leader's shares its rank."""
    return other.high >= leader.low if by_interval else other.value == leader.value
