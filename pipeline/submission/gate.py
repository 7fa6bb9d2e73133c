"""Hold a submission against an earlier one: may it be slower, less accurate or larger, and by how much at most?

Decided at the bound of the interval, like goals: passed only if the whole interval keeps the limit, failed only if the
whole interval breaks it, and else inconclusive, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.submission.accuracy_change import Pair
from pipeline.submission.change import EXACT, NOT_COMPARABLE, Change, changes
from pipeline.submission.quantities import limit_text, quantity

__all__ = ["Decision", "LIMITS", "OUTCOMES", "hold_against"]

OUTCOMES = ("passed", "inconclusive", "failed")
_EXTENT = {"passed": "all of", "inconclusive": "only a part of", "failed": "nothing of"}


@dataclass(frozen=True)
class Decision:
    """A limit, what was measured with its interval (None where nothing comparable was), and how it ended."""

    name: str
    limit: float
    measured: float | None
    interval: tuple[float, float] | None
    outcome: str
    reason: str
    noisy: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {**asdict(self), "interval": list(self.interval) if self.interval else None}


def hold_against(
    baseline: Mapping[str, Any],
    submission: Mapping[str, Any],
    limits: Mapping[str, float],
    answers: Pair = (None, None),
) -> list[Decision]:
    """Return a decision for every limit, in the order of LIMITS.

    `limits` are shares: {"slowdown": 0.05} lets a call take 5 % more of the time that the own baseline takes, "drop" is
    of the accuracy on the test split in points of 1, "rise" of the perplexity there, "growth" of the stored bytes.
    `answers` are those of `changes`.
    Raises KeyError for another name.
    """
    if unknown := limits.keys() - LIMITS.keys():
        raise KeyError(f"no limit is called {', '.join(sorted(unknown))}")
    found = {change.metric: change for change in changes(baseline, submission, answers)}
    return [_decide(name, limits[name], found.get(LIMITS[name][0])) for name in LIMITS if name in limits]


def _decide(name: str, limit: float, change: Change | None) -> Decision:
    metric, loss, unit = LIMITS[name]
    if change is None:
        reason = f"{NOT_COMPARABLE}: they have no {metric} in common"
        return Decision(name, limit, None, None, "inconclusive", reason)
    if change.change is None or change.interval is None:
        return Decision(name, limit, None, None, "inconclusive", f"{NOT_COMPARABLE}: {change.reason}")
    low, high = sorted(map(loss, change.interval))
    measured = loss(change.change)
    if change.verdict == "noisy":
        return Decision(name, limit, measured, (low, high), "inconclusive", change.reason, noisy=True)
    wanted = f"at most {limit_text(limit, unit)}"
    outcome = "passed" if high <= limit else "failed" if low > limit else "inconclusive"
    if low == high:
        reason = f"{quantity(low, unit)} is {'' if outcome == 'passed' else 'not '}{wanted}"
    else:
        ends = f"the interval from {quantity(low, unit)} to {quantity(high, unit)}"
        reason = f"{_EXTENT[outcome]} {ends} is {wanted}"
    return Decision(
        name, limit, measured, (low, high), outcome, reason if change.reason == EXACT else f"{reason}; {change.reason}"
    )


def _excess(ratio: float) -> float:
    """Return by which share the second is worse, from a ratio that is above 1 where it is better."""
    return 1 / ratio - 1


# limit -> the metric, its loss from the change of that metric, and the unit of both
LIMITS: dict[str, tuple[str, Callable[[float], float], str]] = {
    "slowdown": ("speed-up", _excess, "share"),
    "drop": ("accuracy (test)", lambda delta: 0.0 - delta, "points"),
    "rise": ("perplexity", lambda ratio: ratio - 1, "share"),
    "growth": ("stored size", _excess, "share"),
}
