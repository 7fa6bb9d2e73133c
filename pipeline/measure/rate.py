"""The highest rate a server sustains: when queries arrive, what a trial may miss, which rate is tried next. Pure.

The rule is that of MLPerf's server scenario (MLCommons inference rules): arrivals are a Poisson process, a trial meets
the limit if the number of queries over it satisfies early stopping (`pipeline.stats.percentile.minimum_passing`), the
rate is found by bisection, and a rate at which a repetition fails is lowered by a small step and tried again. Early
stopping takes queries for independent, which those of a queue are not: hence the repetition, with other arrivals.
Numpy only: the timed process imports this.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RESOLUTION",
    "RETREATS",
    "Search",
    "arrivals",
    "likely_rate",
    "orders",
    "search_s",
    "tolerated",
    "trial_queries",
]

RESOLUTION = 1.02  # the bracket's ratio at which a search ends
RETREATS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.32)  # how much a found rate is lowered until a repetition meets the limit
_GALLOP = 1.25  # the first step out of a start that is off; each further one is the square of the last
_TRIALS = 10.0  # of full length that an arm needs for a search and its confirmation: see `search_s`
_TAIL = math.log(100) / 2  # see `likely_rate`


def arrivals(count: int, seed: int) -> NDArray[np.float64]:
    """Return the arrival times (count,) of a Poisson process of one query per unit of time, increasing.

    Divided by a rate they are a schedule at that rate: all rates and all arms get the same pattern, so that what it
    happens to demand is no difference between them.
    """
    gaps: NDArray[np.float64] = np.random.default_rng(seed).exponential(1.0, count)
    return np.cumsum(gaps)


def tolerated(queries: int, needed: Sequence[int]) -> int:
    """Return how many of `queries` may be over the limit; -1 if they are too few even with none.

    `needed[t]` is how many queries a trial needs in all to meet the limit with t of them over it, increasing.
    """
    return bisect.bisect_right(needed, queries) - 1


def likely_rate(call_ns: float, limit_ns: float, most: float) -> float:
    """Return the rate per second to try first: where 1 % wait too long, or a twentieth of `most` if that is more.

    A queue with fixed service times s and load r has waiting times with a tail of about exp(-2 (1 - r) t / s) in heavy
    traffic (Kingman 1962), so that the 99th percentile is ln(100) / 2 * s / (1 - r).
    """
    spare = limit_ns - call_ns
    load = 1.0 - _TAIL * call_ns / spare if spare > 0 else 0.0
    return most * min(1.0, max(load, 0.05))


def search_s(queries: int, rates: Sequence[float]) -> float:
    """Return about how many seconds searches of arms around `rates` (per second) take with trials of `queries`.

    A search has about four rates that meet the limit and as many that do not, which are tried twice and end early, and
    a confirmation or two.
    """
    return _TRIALS * queries * sum(1.0 / rate for rate in rates)


def trial_queries(rates: Sequence[float], seconds: float, least: int, most: int) -> int:
    """Return how many queries each trial gets, at least and at most, so that searches around `rates` take `seconds`."""
    return int(min(max(seconds / search_s(1, rates), least), most))


@dataclass(frozen=True)
class Search:
    """A bracket of rates on a log scale: `low` met the limit, `high` did not; None while there is none.

    `rate` is to be tried next, between `least` and `most`.
    """

    rate: float
    least: float
    most: float
    low: float | None = None
    high: float | None = None
    gallop: float = _GALLOP

    @property
    def is_over(self) -> bool:
        """Whether the bracket is narrow enough, or one of its ends is where nothing further is tried."""
        if self.low is not None and self.high is not None:
            return self.high / self.low <= RESOLUTION
        return (self.low is not None and self.low >= self.most) or (self.high is not None and self.high <= self.least)

    def after(self, is_met: bool) -> Search:
        """Return the search with what a trial at `rate` showed; the next rate halves the bracket, or widens it."""
        low, high = (self.rate, self.high) if is_met else (self.low, self.rate)
        if low is not None and high is not None:
            return replace(self, low=low, high=high, rate=math.sqrt(low * high))
        step = self.gallop if is_met else 1.0 / self.gallop
        rate = min(max(self.rate * step, self.least), self.most)
        return replace(self, low=low, high=high, rate=rate, gallop=self.gallop**2)


def orders(arms: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield orders of the arms without end: those of a Latin square in turn, each beside its mirror image."""
    rng = np.random.default_rng(seed)
    first = [int(arm) for arm in rng.permutation(arms)]
    shifts = [tuple(first[shift:] + first[:shift]) for shift in range(arms)]
    return itertools.cycle([order for shift in shifts for order in (shift, shift[::-1])])
