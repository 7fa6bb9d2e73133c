"""Measure a call: durations after a warm-up, peak memory, and what this machine can do at most.

One process, no pinning, no interleaving: good for a first look. Comparisons that must hold are the pipeline's business.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

__all__ = ["MachineBalance", "Timer", "durations_ms", "machine_balance", "peak_bytes", "precise_timer"]

GEMM_SIZE = 384  # the three matrices, 1.8 MB, fit a second-level cache
COPY_BYTES = 64 * 1024 * 1024  # beyond the last-level cache of most machines
REPEATS = 7


def durations_ms(call: Callable[[], object], warmup: int, runs: int) -> list[float]:
    """Return the wall-clock milliseconds of `runs` calls, after `warmup` that are not counted.

    Raises ValueError for fewer than one run.
    """
    if runs < 1 or warmup < 0:
        raise ValueError(f"At least one measured run is needed and no negative warm-up, got {runs} and {warmup}.")
    for _ in range(warmup):
        call()
    durations = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        call()
        durations.append((time.perf_counter_ns() - start) / 1e6)
    return durations


class Timer:
    """What `precise_timer` hands out; `elapsed` is in seconds, 0.0 until its block ends."""

    elapsed: float = 0.0


@contextmanager
def precise_timer() -> Iterator[Timer]:
    """Time a with-block; the timer it gives has the seconds in `elapsed` afterwards."""
    timer = Timer()
    start = time.perf_counter_ns()
    try:
        yield timer
    finally:
        timer.elapsed = (time.perf_counter_ns() - start) / 1e9


def peak_bytes(call: Callable[[], object]) -> int:
    """Return how much memory `call` adds at its peak, as Python and NumPy allocate it."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if not was_tracing:
            tracemalloc.stop()
    return max(0, peak - before)


@dataclass(frozen=True)
class MachineBalance:
    """What this machine reached: float32 operations and bytes moved, each per second."""

    flops_per_s: float
    bytes_per_s: float

    @property
    def flops_per_byte(self) -> float:
        """The arithmetic intensity below which memory is the limit [roofline model: Williams et al., 2009]."""
        return self.flops_per_s / self.bytes_per_s


@cache
def machine_balance() -> MachineBalance:
    """Measure, once per process, the fastest matrix product and the fastest copy of `REPEATS` attempts."""
    a = np.ones((GEMM_SIZE, GEMM_SIZE), np.float32)
    out = np.empty_like(a)
    source = np.ones(COPY_BYTES // 4, np.float32)
    target = np.empty_like(source)
    product = min(durations_ms(lambda: np.matmul(a, a, out=out), 2, REPEATS))
    copy = min(durations_ms(lambda: np.copyto(target, source), 2, REPEATS))
    return MachineBalance(2 * GEMM_SIZE**3 / product * 1e3, 2 * COPY_BYTES / copy * 1e3)
