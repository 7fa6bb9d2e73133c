"""Tail percentiles, and how many samples each needs before it may be printed.

The rule is MLPerf's early stopping (MLCommons inference policies, "Early stopping"; LoadGen's early_stopping.cc): a
percentile is supported when, were more than 1 - p of all queries over the limit, so few over-latency queries
among n would have been seen with a chance of at most 1 - confidence. MLPerf discards at least one, hence t = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.distributions import beta_cdf

__all__ = [
    "Percentile",
    "early_stopping_estimate",
    "limit_status",
    "minimum_passing",
    "minimum_samples",
    "percentile",
    "percentile_of_ordered",
]

CONFIDENCE = 0.99  # MLPerf's


@dataclass(frozen=True)
class Percentile:
    """A percentile's value, or None with the reason."""

    value: float | None
    reason: str | None


@lru_cache(maxsize=4096)  # a search for a percentile asks for the same numbers again and again
def minimum_passing(over: int, p: float, confidence: float = CONFIDENCE) -> int:
    """Return the least number of queries within the limit that supports percentile `p` despite `over` beyond it.

    The smallest h with P(Binomial(h + over, 1 - p) <= over) <= 1 - confidence. Raises ValueError unless
    0 < p < 1, 0 < confidence < 1 and over >= 0.
    """
    if not (0 < p < 1 and 0 < confidence < 1 and over >= 0):
        raise ValueError(f"no early stopping for p={p}, confidence={confidence}, {over} over the limit")
    high = 1
    while _chance(high, over, p) > 1 - confidence:
        high *= 2
    low = high // 2  # fails (or is 0), and the chance falls as h grows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance(middle, over, p) <= 1 - confidence else (middle, high)
    return high


def minimum_samples(p: float, confidence: float = CONFIDENCE) -> int:
    """Return the least number of samples for percentile `p`, one over-latency query tolerated."""
    return minimum_passing(1, p, confidence) + 1


def percentile(samples: NDArray[np.float64], p: float) -> Percentile:
    """Return the nearest-rank percentile `p` (0 to 1) of `samples` (n,), or None if they are too few."""
    return percentile_of_ordered(np.sort(samples), p)


def percentile_of_ordered(ordered: NDArray[np.float64], p: float) -> Percentile:
    """Return what `percentile` does, of samples in ascending order: several are read off one sorted array."""
    needed, n = minimum_samples(p), len(ordered)
    if n < needed:
        return Percentile(None, f"needs {needed} samples, has {n}")
    rank = int(np.ceil(round(p * n, 9)))  # rounded first: 0.9 * 70 is 63.00000000000001
    return Percentile(float(ordered[rank - 1]), None)


def limit_status(queries: int, over: int, p: float, confidence: float = CONFIDENCE) -> str:
    """Say whether `over` of `queries` beyond a limit show that percentile `p` keeps it: met, not_met or inconclusive.

    met is MLPerf's early stopping; not_met is its mirror image: if just 1 - p of all queries were over the limit, so
    many would have been seen with a chance of at most 1 - confidence. Raises ValueError unless 0 <= over <= queries.
    """
    if not 0 <= over <= queries:
        raise ValueError(f"{over} of {queries} queries cannot be over a limit")
    if queries >= minimum_passing(over, p, confidence) + over:
        return "met"
    seen_so_many = beta_cdf(1 - p, over, queries - over + 1) if over else 1.0
    return "not_met" if seen_so_many <= 1 - confidence else "inconclusive"


def early_stopping_estimate(samples: NDArray[np.float64], p: float, confidence: float = CONFIDENCE) -> Percentile:
    """Return LoadGen's estimate: a latency that percentile `p` does not exceed with the given confidence.

    The t-th largest sample with the largest t for which n >= minimum_passing(t) + t.
    """
    n = len(samples)
    needed = minimum_samples(p, confidence)
    if n < needed:
        return Percentile(None, f"needs {needed} samples, has {n}")
    low, high = 1, n  # low is supported, high is not: h >= 1 is always needed
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if minimum_passing(middle, p, confidence) + middle <= n else (low, middle)
    return Percentile(float(np.partition(samples, n - low)[n - low]), None)


def _chance(within: int, over: int, p: float) -> float:
    """P(Binomial(within + over, 1 - p) <= over), by the regularized incomplete beta function, as LoadGen has it."""
    return beta_cdf(p, within, over + 1)
