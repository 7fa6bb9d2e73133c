"""Find cores on which nobody else works, and wait for them where there are none. Parent's side.

Looking is sleeping between two readings of the kernel's counters: it takes no time from anybody.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.measure.gauge import read_load, shares

__all__ = ["Core", "FREE", "Patience", "Place", "choose", "idlest", "look", "read_core"]

# A core of which others have no more is as good as an idle one: their slices touch some of a process's hundred pairs,
# which the filter drops. It is also what the first look can tell: one tick of five may be anybody's, two are not.
FREE = 0.25
# What the host may take of a core. It is not seen who took it, and no other core need be better; a guest that gets
# less than 95 % of its core has neighbours that also share its caches and its clock.
_STOLEN = 0.05
_FIRST_LOOK_S = 0.05  # five ticks of the kernel's counters (1/100 s)
_LOOK_S = 0.5  # while waiting: fifty ticks, so that one of them is no reason to wait on
_CORES = Path("/sys/devices/system/cpu")


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


def choose(count: int, cores: Sequence[Core], busy: Mapping[int, float]) -> tuple[tuple[int, ...], float]:
    """Return the `count` cores to measure on, and the largest share of time that others use of them.

    Free cores come first, of these the fastest (a laptop's efficiency cores are as idle as can be), then the idlest,
    then the highest numbers: core 0 gets most interrupts. What a core's sibling does is work on the core, and two
    siblings are chosen only if there is nothing else.
    """
    used = {core.number: max(busy.get(number, 0.0) for number in core.siblings) for core in cores}
    left = sorted(cores, key=lambda c: (used[c.number] > FREE, -c.speed, used[c.number], -c.number))
    chosen: list[Core] = []
    while left and len(chosen) < count:
        taken = {core.number for core in chosen}
        chosen.append(next((core for core in left if not core.siblings & taken), left[0]))
        left.remove(chosen[-1])
    return tuple(sorted(core.number for core in chosen)), max(used[core.number] for core in chosen)


@dataclass(frozen=True)
class Place:
    """Cores to measure on; `busy` and `stolen` are the largest shares that others, and the host, had of one."""

    cores: tuple[int, ...]
    busy: float
    stolen: float

    @property
    def is_quiet(self) -> bool:
        """Whether a measurement may begin here at once."""
        return self.busy - self.stolen <= FREE and self.stolen <= _STOLEN

    def __str__(self) -> str:
        """Say who has what of the cores."""
        names = f"core{'s' if len(self.cores) > 1 else ''} {', '.join(map(str, self.cores))}"
        host = f", {100 * self.stolen:.0f} % by the host" if self.stolen > _STOLEN else ""
        return f"{names}: {100 * (self.busy - self.stolen):.0f} % by others{host}"


def look(count: int, seconds: float) -> Place | None:
    """Sleep for so long and `choose` by what others did meanwhile among the cores of this process; None if unknown."""
    before = read_load()
    if before is None or sys.platform != "linux":
        return None
    time.sleep(seconds)
    after = read_load()
    busy, stolen = shares(before, after) if after else ({}, {})
    cores, most = choose(count, [read_core(number) for number in os.sched_getaffinity(0)], busy)
    return Place(cores, most, max(stolen.get(core, 0.0) for core in cores))


def idlest(count: int) -> Place | None:
    """Look for 50 ms; None where it is unknown who uses the cores."""
    return look(count, _FIRST_LOOK_S)


class Patience:
    """The seconds that one comparison may wait for quiet moments; it finds the places of its processes.

    Only what the cores do right now counts: averages of load and of pressure are slow to fall, so that waiting for
    those would go on long after the machine has become quiet. They are recorded with each process.
    """

    def __init__(
        self, wait_s: float, say: Callable[[str], None], look: Callable[[int, float], Place | None] = look
    ) -> None:
        self.waited_s = 0.0
        self._wait_s = wait_s
        self._say = say
        self._look = look
        self._has_said = False

    def place(self, count: int) -> Place | None:
        """Return `count` quiet cores, or after waiting in vain the least busy ones; None where that is unknown.

        A busy first look is confirmed by a longer one before anything is said. One message for all that is waited.
        """
        found = self._look(count, _FIRST_LOOK_S)
        is_confirmed = False
        while found is not None and not found.is_quiet and (left_s := self._wait_s - self.waited_s) > 0:
            if is_confirmed and not self._has_said:
                self._has_said = True
                self._say(f"the machine is busy ({found}): waiting up to {self._wait_s:.3g} s for a quiet moment")
            step_s = min(_LOOK_S, left_s)
            found = self._look(count, step_s)
            self.waited_s += step_s
            is_confirmed = True
        return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
