"""Compare two arms timed in pairs: the ratio of their times, its interval, and what may be said of it.

The process is the unit of replication, because identical code differs between processes by about 1 % (memory layout):
the estimate is the median over processes. Within one, pairs may come from several copies of each arm, which differ by
about 4 % and stay so: a process's estimate is the mean over copies of the median of their paired log ratios. (Measured
on identical arms with 32 copies: its spread between processes is 0.75 of that of the median of all pairs.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.distributions import student_cdf
from pipeline.stats.interval import hierarchical_interval, location, t_interval

__all__ = ["Ratio", "VERDICTS", "claim_p_value", "ratio", "verdict"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

VERDICTS = ("faster", "slower", "equivalent", "inconclusive")
_METHOD = (
    "median of paired log ratios by copy, mean over copies, median over processes; "
    "hull of t over processes and hierarchical bootstrap"
)


@dataclass(frozen=True)
class Ratio:
    """A ratio of times, baseline over candidate: 2 means that the candidate takes half the time."""

    estimate: float
    interval: tuple[float, float]
    confidence: float
    per_process: tuple[float, ...]
    method: str = _METHOD

    @property
    def half_width(self) -> float:
        """Half the interval's width relative to the estimate: 0.01 is ±1 %."""
        return math.log(self.interval[1] / self.interval[0]) / 2

    @property
    def excludes_one(self) -> bool:
        """Whether the interval says that the arms differ."""
        return not self.interval[0] <= 1 <= self.interval[1]

    def widened_by(self, control: Ratio) -> Ratio:
        """Return this ratio with room for what identical code differed by, if the control's interval excludes 1.

        The control then shows an error that the processes share, which repeating them does not average out.
        """
        if not control.excludes_one:
            return self
        factor = max(control.estimate, 1 / control.estimate)
        low, high = self.interval
        return replace(self, interval=(low / factor, high * factor), method=f"{self.method}; widened by the control")

    def to_json(self) -> dict[str, Any]:
        """Return the record that benchmarks and submissions hold."""
        return {
            "estimate": self.estimate,
            "interval": list(self.interval),
            "confidence": self.confidence,
            "method": self.method,
            "per_process": list(self.per_process),
        }


def ratio(
    baseline: Sequence[Floats],
    candidate: Sequence[Floats],
    seed: int,
    copies: Sequence[Labels] | None = None,
    confidence: float = 0.95,
) -> Ratio:
    """Estimate baseline time over candidate time from paired samples, one array (pairs,) per process, in order.

    `copies` numbers for each pair the copies that were timed; None if there was one of each. The interval is the hull
    of the t interval over processes and the hierarchical bootstrap, so that either source of variation can veto a
    claim. Raises ValueError for fewer than two processes, unpaired or non-positive samples.
    """
    if len(baseline) != len(candidate) or len(baseline) < 2:
        raise ValueError(f"need the same two or more processes for both arms, not {len(baseline)} and {len(candidate)}")
    logs = [_log_ratios(a, b) for a, b in zip(baseline, candidate, strict=True)]
    labels = copies if copies is not None else [np.zeros(len(values), np.int64) for values in logs]
    groups = [_by_label(values, label) for values, label in zip(logs, labels, strict=True)]
    locations = np.array([location(group) for group in groups])
    estimate = float(np.median(locations))
    student = t_interval(locations, confidence)
    resampled = hierarchical_interval(groups, seed, confidence)
    low, high = min(estimate, student[0], resampled[0]), max(estimate, student[1], resampled[1])
    return Ratio(math.exp(estimate), (math.exp(low), math.exp(high)), confidence, tuple(np.exp(locations).tolist()))


def verdict(interval: tuple[float, float], threshold: float) -> str:
    """Say what the interval of a speed-up shows: faster, slower, equivalent or inconclusive.

    A difference within `threshold` (0.02 is 2 %) has no practical meaning: a claim needs the whole interval beyond
    1 + threshold or below its inverse, and equivalence the whole interval within both. Exchanging the arms mirrors
    the verdict. Raises ValueError for a negative threshold or an interval that is not 0 < low <= high.
    """
    low, high = interval
    if not 0 < low <= high or threshold < 0:
        raise ValueError(f"no verdict on the interval {interval} with threshold {threshold}")
    upper = 1.0 + threshold
    if low > upper:
        return "faster"
    if high < 1.0 / upper:
        return "slower"
    return "equivalent" if low >= 1.0 / upper and high <= upper else "inconclusive"


def claim_p_value(per_process: Sequence[float], threshold: float) -> float:
    """Return the p-value of the claim that the true ratio is beyond the threshold, from the ratios of each process.

    A t test of log ratios against the nearer edge of the indifference zone, doubled because the side is chosen after
    looking. Serves Holm's correction in sweeps. Raises ValueError for fewer than two processes.
    """
    if len(per_process) < 2:
        raise ValueError("a p-value needs two or more processes")
    logs = np.log(np.asarray(per_process, dtype=np.float64))
    mean, n = float(np.mean(logs)), len(logs)
    error = float(np.std(logs, ddof=1)) / n**0.5
    excess = abs(mean) - math.log1p(threshold)
    if error == 0.0:
        return 0.0 if excess > 0 else 1.0
    return min(1.0, 2.0 * student_cdf(-excess / error, n - 1))


def _by_label(values: Floats, labels: Labels) -> list[Floats]:
    """Return the values of each label, in the order of the labels, and of the values within."""
    order = np.argsort(labels, kind="stable")
    values, labels = values[order], labels[order]
    bounds = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(values)]
    return [values[start:end] for start, end in itertools.pairwise(bounds)]


def _log_ratios(baseline: Floats, candidate: Floats) -> Floats:
    if baseline.shape != candidate.shape or baseline.ndim != 1 or not len(baseline):
        raise ValueError(
            f"paired samples must have the same shape (pairs,), not {baseline.shape} and {candidate.shape}"
        )
    if min(baseline.min(), candidate.min()) <= 0:
        raise ValueError("times must be positive")
    logs: Floats = np.log(baseline / candidate)
    return logs
