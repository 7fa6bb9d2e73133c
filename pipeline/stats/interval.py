"""Intervals of a location from samples: of a median by order statistics, of a mean by Student's t, of a location of
grouped samples by bootstrap. Pure functions; randomness comes from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.distributions import binomial_cdf, student_quantile

__all__ = [
    "bootstrap_locations",
    "bootstrap_medians",
    "hierarchical_interval",
    "location",
    "median_interval",
    "t_interval",
]

Floats = NDArray[np.float64]

_MANY = 6  # groups: fewer are too few to resample


def median_interval(samples: Floats, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the order-statistic interval of the median of `samples` (n,), independent draws of any distribution.

    The k-th smallest and k-th largest value with the largest k for which the coverage 1 - 2 P(Binomial(n, 1/2) < k)
    is at least `confidence` (David & Nagaraja, Order Statistics, 7.1). None if n is too small for any k
    (n < 6 at 0.95).
    """
    n = len(samples)
    ranks = np.arange(1, n // 2 + 1)
    enough = ranks[1.0 - 2.0 * binomial_cdf(n, 0.5)[ranks - 1] >= confidence]
    if not len(enough):
        return None
    k = int(enough[-1])
    ordered = np.sort(samples)
    return float(ordered[k - 1]), float(ordered[n - k])


def t_interval(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of the mean of `values` (n,); raises ValueError for fewer than two."""
    n = len(values)
    if n < 2:
        raise ValueError("a t interval needs two or more values")
    half = student_quantile(0.5 + confidence / 2, n - 1) * float(np.std(values, ddof=1)) / n**0.5
    mean = float(np.mean(values))
    return mean - half, mean + half


def bootstrap_medians(samples: Floats, repetitions: int, rng: np.random.Generator) -> Floats:
    """Return medians (repetitions,) of circular block resamples of `samples` (n,), which keep its serial correlation.

    Blocks are ceil(n^(1/3)) long, the order that minimizes the error of a bootstrap variance (Hall, Horowitz & Jing,
    Biometrika 82:561, 1995); circular so that the ends count as much as the middle (Politis & Romano 1992).
    """
    n = len(samples)
    block = int(np.ceil(n ** (1 / 3)))
    starts = rng.integers(0, n, (repetitions, -(-n // block)))
    index = (starts[:, :, None] + np.arange(block)).reshape(repetitions, -1)[:, :n] % n
    medians: Floats = np.median(samples[index], axis=1)
    return medians


def location(groups: Sequence[Floats]) -> float:
    """Return the mean over groups of each group's median: outliers within a group do not count, every group does."""
    return float(np.mean(_medians(groups)))


def bootstrap_locations(groups: Sequence[Floats], repetitions: int, rng: np.random.Generator) -> Floats:
    """Return resampled locations (repetitions,): of whole groups, or of blocks within each if groups are few."""
    if len(groups) >= _MANY:
        medians = _medians(groups)
        drawn: Floats = medians[rng.integers(0, len(medians), (repetitions, len(medians)))]
    else:
        drawn = np.stack([bootstrap_medians(group, repetitions, rng) for group in groups], axis=1)
    found: Floats = drawn.mean(axis=1)
    return found


def _medians(groups: Sequence[Floats]) -> Floats:
    """Return the median of each group, as `np.median` does, of all at once: of 32 groups that takes a tenth."""
    sizes = np.array([len(group) for group in groups])
    values = np.concatenate(groups)
    order = np.lexsort((values, np.repeat(np.arange(len(groups)), sizes)))
    ordered, starts = values[order], np.cumsum(sizes) - sizes
    medians: Floats = (ordered[starts + (sizes - 1) // 2] + ordered[starts + sizes // 2]) / 2
    return medians


def hierarchical_interval(
    processes: Sequence[Sequence[Floats]], seed: int, confidence: float = 0.95, repetitions: int = 2000
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of the median over processes of each process's `location`.

    A process is a list of groups of samples, each in the order of their measurement. Processes are resampled first,
    then what is in them, so that both sources of variation count. Deterministic under `seed`.
    Raises ValueError if there is no process, one without groups, or an empty group.
    """
    if not processes or any(not groups or any(not len(group) for group in groups) for groups in processes):
        raise ValueError("every group needs samples")
    rng = np.random.default_rng(seed)
    inner = 200  # resampled locations per process, drawn again for each repetition: enough for a 95 % percentile
    pool = np.stack([bootstrap_locations(groups, inner, rng) for groups in processes])
    shape = (repetitions, len(processes))
    drawn = pool[rng.integers(0, len(processes), shape), rng.integers(0, inner, shape)]
    tail = (1.0 - confidence) / 2
    ordered, middle = np.sort(drawn, axis=1), len(processes) // 2
    medians = (ordered[:, (len(processes) - 1) // 2] + ordered[:, middle]) / 2
    low, high = np.quantile(medians, [tail, 1.0 - tail])
    return float(low), float(high)
