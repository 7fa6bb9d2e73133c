"""Who else is using the cores: read from the kernel's counters, to choose a core and to warn. Parent's side."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Core", "Load", "busy_shares", "choose", "idlest", "read_core", "read_load"]

_FIRST_LOOK_S = 0.05  # five ticks of the kernel's counters (1/100 s)
_FREE = 0.25  # a core with less work than this is as good as an idle one
_CORES = Path("/sys/devices/system/cpu")


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


@dataclass(frozen=True)
class Core:
    """A core as the system numbers it: those that share its execution units (itself too), and its rank in speed.

    `speed` compares the cores of one machine only; it is 0 where the system does not tell.
    """

    number: int
    siblings: frozenset[int]
    speed: int


def read_core(number: int, root: Path = _CORES) -> Core:
    """Read what the kernel says of a core (Linux's sysfs); alone and of unknown speed where it says nothing."""
    folder = root / f"cpu{number}"
    siblings = {number}
    for part in _text(folder / "topology/thread_siblings_list").split(","):
        least, _, most = part.partition("-")
        if least.isdigit():
            siblings.update(range(int(least), int(most or least) + 1))
    speed = _text(folder / "cpu_capacity") or _text(folder / "cpufreq/cpuinfo_max_freq")
    return Core(number, frozenset(siblings), int(speed) if speed.isdigit() else 0)


def choose(count: int, cores: Sequence[Core], shares: Mapping[int, float]) -> tuple[tuple[int, ...], float]:
    """Return the `count` cores to measure on, and the largest share of time that others use of them.

    Free cores come first, of these the fastest (a laptop's efficiency cores are as idle as can be), then the idlest,
    then the highest numbers: core 0 gets most interrupts. What a core's sibling does is work on the core, and two
    siblings are chosen only if there is nothing else.
    """
    busy = {core.number: max(shares.get(number, 0.0) for number in core.siblings) for core in cores}
    left = sorted(cores, key=lambda c: (busy[c.number] > _FREE, -c.speed, busy[c.number], -c.number))
    chosen: list[Core] = []
    while left and len(chosen) < count:
        taken = {core.number for core in chosen}
        chosen.append(next((core for core in left if not core.siblings & taken), left[0]))
        left.remove(chosen[-1])
    return tuple(sorted(core.number for core in chosen)), max(busy[core.number] for core in chosen)


def idlest(count: int) -> tuple[tuple[int, ...], float] | None:
    """Look for 50 ms what others do, and `choose` among the cores this process may use; None where that is unknown."""
    first = read_load()
    if first is None or sys.platform != "linux":
        return None
    time.sleep(_FIRST_LOOK_S)
    second = read_load()
    shares = busy_shares(first, second) if second else {}
    return choose(count, [read_core(number) for number in os.sched_getaffinity(0)], shares)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
