"""What the machine did while a comparison ran, by the gauges of its processes: what a reader has to know, and whether
it hides what was asked. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["MOST_UNSEEN", "about_the_machine", "seen_share", "unseen_share"]

Process = Mapping[str, Any]

# What interrupts samples and is seen by the filter costs pairs and no truth, so load alone makes nothing noisy
# (measured with a hog on the same core: 40 of 40 A/A ratios within 0.9965 to 1.0034). What is *not* seen need not hit
# the arms alike: a long sample is interrupted more often than a short one, and threads wait for the slowest of them,
# which an arm with less parallel work does not. The control is as long and as parallel as the baseline and shows
# nothing of that. A ratio can then be off by up to the share that was taken; below this one it is interruptions of a
# few samples, which medians ignore, and nearer than the gauges can tell (ticks of 10 ms).
MOST_UNSEEN = 0.05
_MUCH_BUSY = 0.25
_MUCH_STOLEN = 0.02


def unseen_share(processes: Sequence[Process], is_filtered: bool) -> float:
    """Return the share of time that others had of the cores in a way that no filter saw, as far as it is known.

    Without a filter (several threads, or a coarse clock) that is all of it: other programs, the host, a quota. With
    one, other programs and pauses by a quota are seen, because a thread's CPU time stands still meanwhile. Time stolen
    by the host is seen only where the kernel leaves it out of CPU time (Linux does with PARAVIRT_TIME_ACCOUNTING):
    what was stolen beyond what the samples' own clocks saw was not.
    """
    stolen = _mean(processes, "stolen")
    if is_filtered:
        return max(stolen - seen_share(processes), 0.0)
    return _mean(processes, "others") + stolen + _mean(processes, "paused")


def seen_share(processes: Sequence[Process]) -> float:
    """Return the share of all samples' wall time in which the thread did not run, by its CPU time."""
    wall, cpu = (
        sum(float(np.sum(process[name], dtype=np.float64)) for process in processes) for name in ("wall_ns", "cpu_ns")
    )
    return max(1 - cpu / wall, 0.0)


def about_the_machine(
    processes: Sequence[Process], busy: Sequence[float | None], threads: int, waited_s: float, unseen: float
) -> list[str]:
    """Return the warnings, each with its numbers; `busy` is what others had of the cores just before each process."""
    of = f"of {len(processes)} processes"
    before = sum(share is not None and share > _MUCH_BUSY for share in busy)
    during = [share for share in _values(processes, "others") if share > _MUCH_BUSY]
    stolen = _mean(processes, "stolen")
    most = max(during, default=0)
    waited = f", after waiting {waited_s:.3g} s in all for a quiet moment" if waited_s else ""
    found = {
        f"others had {unseen:.0%} of the cores' time, more than {MOST_UNSEEN:.0%}, unseen by the filter: nothing can "
        "be claimed": unseen > MOST_UNSEEN,
        f"before {before} {of} other programs used more than {_MUCH_BUSY:.0%} of the core{waited}": before > 0,
        f"during {len(during)} {of} other programs used more than {_MUCH_BUSY:.0%} of the core, {most:.0%} at most, "
        "which percentiles include": bool(during),
        f"the host took {stolen:.1%} of the core's time away (steal), which percentiles include": stolen > _MUCH_STOLEN,
    }
    return [*(text for text, is_so in found.items() if is_so), *_about_the_quota(processes, threads)]


def _about_the_quota(processes: Sequence[Process], threads: int) -> list[str]:
    """Say how long a container's quota paused us; where nobody counts that, that a quota is below the threads."""
    quota = processes[0]["conditions"]["quota"]
    pauses = _values(processes, "pauses")
    if pauses and sum(pauses):
        paused = _mean(processes, "paused")
        granted = f"granted {quota:.3g} cores" if quota is not None else "limited"
        return [
            f"this container is {granted}, and {threads} work: the system paused it {sum(pauses):.0f} times, "
            f"{paused:.0%} of the time, which percentiles include"
        ]
    if not pauses and quota is not None and quota < threads:
        return [
            f"this container is granted {quota:.3g} cores, and {threads} work: the system pauses it again and again, "
            "which percentiles include"
        ]
    return []


def _values(processes: Sequence[Process], name: str) -> list[float]:
    found = (process["conditions"]["gauges"][name] for process in processes)
    return [value for value in found if value is not None]


def _mean(processes: Sequence[Process], name: str) -> float:
    """Return a share's mean over the time of all processes that know it; 0 if none does."""
    known = [g for g in (process["conditions"]["gauges"] for process in processes) if g[name] is not None]
    time_s = sum(g["elapsed_s"] for g in known)
    return sum(g[name] * g["elapsed_s"] for g in known) / time_s if time_s else 0.0
