"""When times have settled: the end of a warm-up. Imports little: this runs in the measured process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.clock import wall_ns

__all__ = ["settle"]

_AGREE = 0.02  # two windows this close are steady
_FAST = 0.1  # the share of a window's samples that counts for that, the fastest
_WINDOW_NS = 20_000_000  # some two dozen rows of short samples, one of long ones


def settle(row: Callable[[], Sequence[int]], seconds: float) -> tuple[int, bool]:
    """Run windows of rows (ns, one for each arm) until two in a row agree for every arm; return how many, and success.

    It gives up after `seconds`. Windows are compared by the time that their fastest tenth stays below: that falls while
    something warms up and rises with what slows the code itself, but hardly moves when a neighbour on the host takes
    the core's clock or caches for some ms (seen: 1.4x, several times a second), which medians follow.
    """
    deadline = wall_ns() + round(seconds * 1e9)
    before: NDArray[np.float64] | None = None
    for windows in itertools.count(1):
        began = wall_ns()
        window = [row()]
        while wall_ns() - began < _WINDOW_NS:
            window.append(row())
        fastest = np.quantile(np.array(window, dtype=np.float64), _FAST, axis=0)
        if before is not None and bool(np.all(np.abs(fastest / before - 1) < _AGREE)):
            return windows, True
        if before is not None and wall_ns() > deadline:
            return windows, False
        before = fastest
    raise AssertionError("the windows are endless")
