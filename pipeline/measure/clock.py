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
    info, cpu_info = time.get_clock_info("perf_counter"), time.get_clock_info("thread_time")
    steps = sorted(_steps(wall_ns))
    return Clock(
        name="perf_counter_ns",
        implementation=info.implementation,
        resolution_ns=next((step for step in steps if step > 0), round(info.resolution * 1e9)),
        overhead_ns=steps[len(steps) // 2],
        cpu_implementation=cpu_info.implementation,
        cpu_resolution_ns=min((step for step in _steps(cpu_ns) if step > 0), default=round(cpu_info.resolution * 1e9)),
    )


def _steps(clock: Callable[[], int]) -> list[int]:
    reads = [clock() for _ in range(_READS)]
    return [after - before for before, after in pairwise(reads)]
