"""Intervals of a quantile by order statistics: of independent samples, and of samples that come from few processes.

How many samples a percentile needs before it may be printed at all is `percentile`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.distributions import binomial_cdf, normal_quantile, student_quantile

__all__ = ["QuantileInterval", "clustered_quantile_interval", "clustered_quantile_intervals", "quantile_interval"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class QuantileInterval:
    """The interval's bounds, or None with the reason."""

    bounds: tuple[float, float] | None
    reason: str | None


def quantile_interval(samples: Floats, p: float, confidence: float = 0.95) -> QuantileInterval:
    """Return the order-statistic interval of quantile `p` from `samples` (n,), independent draws of any distribution.

    The innermost two order statistics beyond each of which the quantile lies with a chance of at most
    (1 - confidence) / 2 (David & Nagaraja, Order Statistics, 7.1). Raises ValueError unless 0 < p < 1 and
    0 < confidence < 1.
    """
    return _between(np.sort(samples), len(samples), p, confidence)


def clustered_quantile_interval(processes: Sequence[Floats], p: float, confidence: float = 0.95) -> QuantileInterval:
    """Return the interval of quantile `p` of all samples, one array for each of two or more processes.

    Samples of one process resemble each other: as many independent ones are counted as would leave the share of
    samples below the quantile as uncertain as it is between processes (the effective sample size of Korn & Graubard,
    Survey Methodology 24:193, 1998, with Student's t for the few processes; never more than there are), and the
    shares that order statistics of so many stand at are read off all samples (R. S. Woodruff, JASA 47:635, 1952).
    Raises ValueError for fewer than two processes or an empty one, and as `quantile_interval` does.
    """
    if not processes:
        raise ValueError(_NOT_ENOUGH)
    return clustered_quantile_intervals(processes, np.sort(np.concatenate(processes)), [p], confidence)[0]


def clustered_quantile_intervals(
    processes: Sequence[Floats], ordered: Floats, shares: Sequence[float], confidence: float = 0.95
) -> list[QuantileInterval]:
    """Return what `clustered_quantile_interval` does for several quantiles; `ordered` are all samples, ascending."""
    if len(processes) < 2 or not all(map(len, processes)):
        raise ValueError(_NOT_ENOUGH)
    return [_between(ordered, _effective(processes, ordered, p, confidence), p, confidence) for p in shares]


_NOT_ENOUGH = "an interval that counts processes needs two or more, none of them empty"


def _effective(processes: Sequence[Floats], ordered: Floats, p: float, confidence: float) -> int:
    """Return how many independent samples say as much of the share below quantile `p` as these do."""
    n, count = len(ordered), len(processes)
    quantile = ordered[min(n - 1, int(p * n))]
    below = np.array([np.count_nonzero(process < quantile) for process in processes], dtype=np.float64)
    sizes = np.array([len(process) for process in processes], dtype=np.float64)
    share = below.sum() / n
    variance = count / (count - 1) * float(np.sum((below - share * sizes) ** 2)) / n**2
    if variance == 0.0:
        return n
    few = (normal_quantile(0.5 + confidence / 2) / student_quantile(0.5 + confidence / 2, count - 1)) ** 2
    return max(1, min(n, int(few * share * (1 - share) / variance)))


def _between(ordered: Floats, count: int, p: float, confidence: float) -> QuantileInterval:
    """Return the bounds among the `ordered` samples if they say as much as `count` independent ones."""
    if not (0 < p < 1 and 0 < confidence < 1):
        raise ValueError(f"no interval of quantile {p} with confidence {confidence}")
    n, tail = len(ordered), (1 - confidence) / 2
    low, high = _ranks(count, p, tail)
    if low < 1 or high > count:
        needed = int(np.ceil(np.log(tail) / np.log(max(p, 1 - p))))
        has = f"has {n}" if count == n else f"the {n} of these processes count as {count}"
        return QuantileInterval(None, f"needs {needed} independent samples, {has}")
    first, last = (low - 1) * n // count, -(-high * n // count) - 1
    return QuantileInterval((float(ordered[first]), float(ordered[last])), None)


@lru_cache(maxsize=2**15)  # counts come again, above all where thousands of submissions are computed
def _ranks(count: int, p: float, tail: float) -> tuple[int, int]:
    """Return the ranks of the bounds, 0 and count + 1 if there are none."""
    below = binomial_cdf(count, p)[:-1]  # P(at most k of `count` samples are below the quantile)
    return int(np.count_nonzero(below <= tail)), count - int(np.count_nonzero(1 - below <= tail)) + 1
