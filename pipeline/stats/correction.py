"""Holm's correction, and how many processes a claim needs to survive it: what to change where a sweep decides nothing.

Two processes leave Student's t one degree of freedom: at 48 comparisons a speed-up then counts only where it is 611
times its own error. Standard library only, because a run in which nothing has to be done says this, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["critical_t", "holm", "least_claim", "processes_needed", "two_sided_p"]

_LEVEL = 0.05  # of all claims together, as `pipeline.submission.compare.SIGNIFICANCE`
_MOST = 64  # processes: the most that an experiment may ask for


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for having asked all questions at once (S. Holm, Scand. J. Statist. 6:65, 1979).

    Rejecting what is at most alpha keeps the chance of any false claim at most alpha, whatever the dependence.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def two_sided_p(t: float, freedom: int) -> float:
    """Return P(|T| > t) of Student's distribution; raises ValueError unless t >= 0 and freedom >= 1.

    The finite sums for whole degrees of freedom (M. Abramowitz and I. A. Stegun, 26.7.3 and 26.7.4).
    """
    if t < 0 or freedom < 1:
        raise ValueError(f"no Student's distribution with {freedom} degrees of freedom at {t}")
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = freedom % 2
    term = cosine if is_odd else 1.0
    total = 0.0
    for k in range(2 + is_odd, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (k - 1) / k
    inside = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    return max(0.0, 1.0 - inside)


@lru_cache(maxsize=256)
def critical_t(p: float, freedom: int) -> float:
    """Return the t that is exceeded, in either direction, with chance `p`; raises ValueError unless 0 < p < 1."""
    if not 0 < p < 1:
        raise ValueError(f"there is no t that is exceeded with chance {p}")
    low, high = 0.0, 1.0
    while two_sided_p(high, freedom) > p:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, freedom) > p else (low, middle)
    return high


def least_claim(processes: int, threshold: float, compared: int, spread: float = 0.01) -> float:
    """Return the least speed-up that can be claimed among `compared` if processes differ by `spread` (0.01 is 1 %)."""
    error = spread / math.sqrt(processes)
    return (1 + threshold) * math.exp(error * critical_t(_LEVEL / compared, processes - 1))


def processes_needed(interval: Sequence[float], processes: int, threshold: float, compared: int) -> int | None:
    """Return how many processes, spread like these, would claim what a 95 % interval of a speed-up alone claims.

    `interval` is from so many `processes`. Strict as the first step of Holm's correction for `compared` comparisons
    is, so that later ones need fewer. None where it claims nothing, or where 64 are too few.
    """
    low, high = (math.log(bound) for bound in interval)
    excess = abs(low + high) / 2 - math.log1p(threshold)
    if min(abs(low), abs(high)) <= math.log1p(threshold) or low * high <= 0:
        return None
    spread = (high - low) / 2 / critical_t(_LEVEL, processes - 1) * math.sqrt(processes)
    for count in range(2, _MOST + 1):
        if spread / math.sqrt(count) * critical_t(_LEVEL / compared, count - 1) <= excess:
            return count
    return None
