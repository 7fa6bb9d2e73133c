"""Who else is using the cores: read from the kernel's counters, to choose a core and to warn. Parent's side."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "busy_shares", "idlest", "read_load"]

_FIRST_LOOK_S = 0.05  # five ticks of the kernel's counters (1/100 s)


@dataclass(frozen=True)
class Load:
    """Ticks since boot by core: all, and those that were not idle (steal included)."""

    total: Mapping[int, int]
    busy: Mapping[int, int]


def read_load(stat: Path = Path("/proc/stat")) -> Load | None:
    """Read the counters of every core; None where the system has no /proc/stat."""
    try:
        lines = stat.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    total, busy = {}, {}
    for line in lines:
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) for field in fields[:8]]  # user nice system idle iowait irq softirq steal
            core = int(name[3:])
            total[core] = sum(ticks)
            busy[core] = sum(ticks) - ticks[3] - ticks[4]
    return Load(total, busy)


def busy_shares(before: Load, after: Load) -> dict[int, float]:
    """Return for each core the share (0 to 1) of the time between two readings in which it worked."""
    elapsed = {core: after.total[core] - before.total.get(core, 0) for core in after.total}
    return {core: (after.busy[core] - before.busy.get(core, 0)) / ticks for core, ticks in elapsed.items() if ticks > 0}


def idlest(count: int) -> tuple[tuple[int, ...], float] | None:
    """Return the `count` allowed cores with the least work now and the largest share of it; None where unknown.

    Looks for 50 ms. Among equals the highest numbers win: core 0 gets most interrupts.
    """
    first = read_load()
    if first is None or sys.platform != "linux":
        return None
    time.sleep(_FIRST_LOOK_S)
    second = read_load()
    shares = busy_shares(first, second) if second else {}
    allowed = sorted(os.sched_getaffinity(0), key=lambda core: (shares.get(core, 0.0), -core))
    chosen = tuple(sorted(allowed[:count]))
    return chosen, max(shares.get(core, 0.0) for core in chosen)
