"""Decide an experiment's goals: met, not met, or inconclusive, at the bound of the figure's interval and with a reason.

A limit is met only if the whole interval keeps it, and not met only if the whole interval breaks it: a lucky number
decides nothing. What is merely `simulated` meets no speed goal, and a size goal only with bytes that really shrank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.submission.candidate import Candidate
from pipeline.submission.compare import compare_accuracy
from pipeline.submission.metrics import METRICS, Measured, Metric, measured_drop, measured_increase
from pipeline.submission.quantities import quantity

__all__ = ["CHANGE_OF", "LIMITS", "STATUSES", "decide", "limits_of"]

STATUSES = ("met", "inconclusive", "not_met")
LIMITS = ("at_least", "at_most", "max_drop", "max_increase")
# A change against the baseline -> the one metric that it limits.
CHANGE_OF = {"max_drop": "accuracy", "max_increase": "perplexity"}
_WORDS = {
    "at_least": "at least",
    "at_most": "at most",
    "max_drop": "a drop of at most",
    "max_increase": "an increase of at most",
}
_CHANGE_UNITS = {"max_drop": "points", "max_increase": "share"}
_EXTENT = {"met": "all of", "inconclusive": "only a part of", "not_met": "nothing of"}


def limits_of(goals: list[Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    """Return (metric, kind of limit, limit) for every limit among the goals, in order."""
    return [(goal["metric"], kind, goal[kind]) for goal in goals for kind in LIMITS if goal.get(kind) is not None]


def decide(
    limit: tuple[str, str, float], candidate: Candidate, split: str, *, at_estimate: bool = False
) -> dict[str, Any]:
    """Return the constraint record of a submission for one limit.

    Accuracy is read on `split`; with `at_estimate` its interval is ignored, which is how points are chosen on the
    validation split before the chosen one is decided on the test split. Raises KeyError for an unknown metric and
    ValueError for a change of another metric than it limits (`CHANGE_OF`).
    """
    name, kind, bound = limit
    metric = METRICS[name]
    figure = _figure(metric, kind, candidate, split)
    if at_estimate and metric.kind == "accuracy":
        figure = Measured(figure.estimate, figure.estimate, figure.estimate, figure.doubt)
    status, reason = _simulated(metric, candidate) or _judge(figure, kind, bound, _unit(metric, kind))
    return {
        "metric": name,
        "limit_kind": kind,
        "limit": bound,
        "split": split if metric.kind == "accuracy" else None,
        "unit": _unit(metric, kind),
        "measured": figure.estimate,
        "interval": [figure.low, figure.high],
        "status": status,
        "reason": reason,
    }


def _figure(metric: Metric, kind: str, candidate: Candidate, split: str) -> Measured:
    if kind not in CHANGE_OF:
        return metric.read(candidate, split)
    if metric.name != CHANGE_OF[kind]:
        raise ValueError(f"{kind} is a limit on {CHANGE_OF[kind]}, not on {metric.name}")
    if kind == "max_increase":
        return measured_increase(candidate.language, split)
    return measured_drop(compare_accuracy(candidate, split))


def _unit(metric: Metric, kind: str) -> str:
    return _CHANGE_UNITS.get(kind, metric.unit)


def _simulated(metric: Metric, candidate: Candidate) -> tuple[str, str] | None:
    if not candidate.is_simulated:
        return None
    if metric.kind == "speed" and not candidate.executes_less:
        return "not_met", "every saving is simulated: zeros are multiplied like other weights, so no speed is gained"
    if metric.kind == "size" and candidate.optimized.stored_bytes >= candidate.baseline.stored_bytes:
        return "not_met", "the saving is simulated: the stored bytes did not shrink"
    return None


def _judge(figure: Measured, kind: str, limit: float, unit: str) -> tuple[str, str]:
    if figure.doubt:
        return "inconclusive", figure.doubt
    wanted = f"{_WORDS[kind]} {quantity(limit, unit).removeprefix('+')}"
    if figure.low == figure.high:
        status = "met" if _keeps(figure.low, kind, limit) else "not_met"
        return status, f"{quantity(figure.low, unit)} is {'' if status == 'met' else 'not '}{wanted}"
    kept = [_keeps(bound, kind, limit) for bound in (figure.low, figure.high)]
    status = "met" if all(kept) else "inconclusive" if any(kept) else "not_met"
    ends = f"the interval from {quantity(figure.low, unit)} to {quantity(figure.high, unit)}"
    return status, f"{_EXTENT[status]} {ends} is {wanted}"


def _keeps(value: float, kind: str, limit: float) -> bool:
    return value >= limit if kind == "at_least" else value <= limit
