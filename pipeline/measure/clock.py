"""The clocks: wall time, the CPU time of the calling thread, and what reading them costs and resolves here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

__all__ = ["Clock", "cpu_ns", "measure_clock", "wall_ns"]

wall_ns: Callable[[], int] = time.perf_counter_ns
cpu_ns: Callable[[], int] = time.thread_time_ns

_READS = 2_000
_COARSE_NS = 1_000_000  # at least, if no step is seen at all


@dataclass(frozen=True)
class Clock:
    """What the clocks can tell: names, the smallest step seen, and the cost of one reading of the wall clock."""

    name: str
    implementation: str
    resolution_ns: int
    overhead_ns: int
    cpu_implementation: str
    cpu_resolution_ns: int

    @property
    def sample_ns(self) -> int:
        """How long a sample must last at least: 200 µs, and 1000 steps, so that a step is 0.1 % of it at most."""
        return max(200_000, 1_000 * self.resolution_ns)

    @property
    def is_cpu_time_fine(self) -> bool:
        """Whether thread CPU time can show a preemption of 2 µs (on Windows it counts in ticks of 15 ms)."""
        return self.cpu_resolution_ns <= 2_000

    def to_json(self) -> dict[str, Any]:
        """Return the record that a benchmark holds."""
        return asdict(self)


def measure_clock() -> Clock:
    """Measure the clocks of this process, in about a millisecond."""
    steps = sorted(_steps(wall_ns))
    return Clock(
        name="perf_counter_ns",
        implementation=time.get_clock_info("perf_counter").implementation,
        resolution_ns=_resolution(wall_ns),
        overhead_ns=steps[len(steps) // 2],
        cpu_implementation=time.get_clock_info("thread_time").implementation,
        cpu_resolution_ns=_resolution(cpu_ns),
    )


def _resolution(clock: Callable[[], int]) -> int:
    """Return the smallest step seen; a clock that stood still meanwhile has steps no shorter than that took.

    What the system says of a clock is not asked: a kernel may count CPU time in ticks of 10 ms and call it 1 ns.
    """
    began = wall_ns()
    seen = [step for step in _steps(clock) if step > 0]
    return min(seen) if seen else max(wall_ns() - began, _COARSE_NS)


def _steps(clock: Callable[[], int]) -> list[int]:
    reads = [clock() for _ in range(_READS)]
    return [after - before for before, after in pairwise(reads)]
