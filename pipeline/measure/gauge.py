"""Who else uses the machine, by the kernel's counters: its cores, their host, its load, a container's quota.

Read at both ends of a worker's work, and by the parent while it looks for a free core (pipeline.measure.quiet).
Standard library only. What a system does not offer is None, with the reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.measure.machine import cpu_groups

__all__ = ["Load", "Reading", "gauges", "read_gauges", "read_load", "shares"]

_UNIT_US = {"throttled_usec": 1.0, "throttled_time": 1e-3}  # cpu.stat of control groups version 2, and 1 (in ns)
_UNBOUND = "the process was not bound to cores"
_NO_TICK = "the kernel counted no time of these cores meanwhile"


@dataclass(frozen=True)
class Load:
    """Ticks since boot by core: all, those that were not idle (stolen ones included), those its host took away."""

    total: Mapping[int, int]
    busy: Mapping[int, int]
    stolen: Mapping[int, int]


def read_load(stat: Path = Path("/proc/stat")) -> Load | None:
    """Read the counters of every core; None where the system has no /proc/stat."""
    try:
        return _load(stat)
    except OSError:
        return None


def shares(before: Load, after: Load) -> tuple[dict[int, float], dict[int, float]]:
    """Return, for each core, the share (0 to 1) of the time between two readings in which it worked or was stolen.

    The second mapping is of the stolen part alone.
    """
    busy, stolen = {}, {}
    for core, ticks in after.total.items():
        elapsed = ticks - before.total.get(core, 0)
        if elapsed > 0:
            busy[core] = _share(after.busy[core] - before.busy.get(core, 0), elapsed)
            stolen[core] = _share(after.stolen[core] - before.stolen.get(core, 0), elapsed)
    return busy, stolen


def _share(ticks: float, elapsed: int) -> float:
    """Return a part of the time. Linux may count waiting for disks, and what is stolen, backwards (see proc(5))."""
    return min(max(ticks / elapsed, 0.0), 1.0)


@dataclass(frozen=True)
class Reading:
    """The counters at one moment; `missing` says why a field is None.

    `at_s` is a monotonic time, `own_s` this process's CPU time. `load_average` is that of a minute, `pressure` the
    share of the last ten seconds in which some task waited for a core, `waited_us` the sum of such times. `pauses` are,
    by control group, how often its quota was spent and for how many µs it was paused then.
    """

    at_s: float
    own_s: float
    load: Load | None
    load_average: float | None
    pressure: float | None
    waited_us: int | None
    pauses: Mapping[str, tuple[int, float]] | None
    missing: Mapping[str, str]


def read_gauges(root: Path = Path("/")) -> Reading:
    """Read all counters now; `root` is where proc and sys are looked for (a test's folder, else "/")."""
    missing: dict[str, str] = {}
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[], Any]] = {
        "load": lambda: _load(root / "proc/stat"),
        "load_average": lambda: float((root / "proc/loadavg").read_text(encoding="ascii").split()[0]),
        "pressure": lambda: _pressure(root / "proc/pressure/cpu"),
        "pauses": lambda: _pauses(root),
    }
    for name, reader in readers.items():
        try:
            found[name] = reader()
        except OSError as error:
            where = f"/{Path(error.filename).relative_to(root)}" if error.filename else name
            found[name] = None
            missing[name] = f"{where}: {error.strerror}"
        except (LookupError, ValueError) as error:
            found[name] = None
            missing[name] = str(error.args[0])
    share, waited_us = found.pop("pressure") or (None, None)
    return Reading(time.monotonic(), time.process_time(), **found, pressure=share, waited_us=waited_us, missing=missing)


def gauges(before: Reading, after: Reading, cores: Sequence[int] | None) -> dict[str, Any]:
    """Return what others did between two readings of one process that was bound to `cores`, as JSON.

    Shares are of the time that passed (0 to 1): `others` what other programs and interrupts had of the cores, `stolen`
    what the host took of them, `waiting` how long some task of the machine waited for a core, `paused` how long the
    quota of a container paused it (of one core; it can exceed 1 with several), `pauses` how often. `load_average` and
    `pressure` are what they were before and after.
    """
    elapsed_s = max(after.at_s - before.at_s, 1e-9)
    others, stolen = _of_cores(before, after, cores)
    paused = _paused(before, after)
    waited = None if before.waited_us is None or after.waited_us is None else after.waited_us - before.waited_us
    missing = {**before.missing, **after.missing}
    names = {"load": ("others", "stolen"), "pressure": ("pressure", "waiting"), "pauses": ("paused", "pauses")}
    reasons = {name: why for key, why in missing.items() for name in names.get(key, (key,))}
    if not cores:
        reasons |= dict.fromkeys(names["load"], _UNBOUND)
    elif others is None and "load" not in missing:
        reasons |= dict.fromkeys(names["load"], _NO_TICK)
    return {
        "elapsed_s": elapsed_s,
        "others": others,
        "stolen": stolen,
        "waiting": None if waited is None else waited / 1e6 / elapsed_s,
        "paused": paused[1] / 1e6 / elapsed_s if paused else None,
        "pauses": paused[0] if paused else None,
        "load_average": [before.load_average, after.load_average],
        "pressure": [before.pressure, after.pressure],
        "missing": reasons,
    }


def _load(stat: Path) -> Load:
    total, busy, stolen = {}, {}, {}
    for line in stat.read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) for field in fields[:8]]  # user nice system idle iowait irq softirq steal
            core = int(name[3:])
            total[core] = sum(ticks)
            busy[core] = sum(ticks) - ticks[3] - ticks[4]
            stolen[core] = ticks[7]
    return Load(total, busy, stolen)


def _pressure(path: Path) -> tuple[float, int]:
    """Return the share of the last ten seconds, and the sum in µs, of "some" (kernel: Documentation/accounting/psi)."""
    for line in path.read_text(encoding="ascii").splitlines():
        kind, *fields = line.split()
        if kind == "some":
            values = dict(field.split("=") for field in fields)
            return float(values["avg10"]) / 100, int(values["total"])
    raise LookupError(f"{path} has no line for some")


def _pauses(root: Path) -> dict[str, tuple[int, float]]:
    found = {}
    for group in cpu_groups(root):
        try:
            lines = (group / "cpu.stat").read_text(encoding="ascii").splitlines()
        except OSError:
            continue  # the root of version 2 has none, nor has a group without the controller
        values = dict(line.split() for line in lines)
        unit = next((name for name in _UNIT_US if name in values), None)
        if unit:
            found[str(group)] = (int(values["nr_throttled"]), int(values[unit]) * _UNIT_US[unit])
    if not found:
        raise LookupError("no control group counts how long it was paused")
    return found


def _paused(before: Reading, after: Reading) -> tuple[int, float] | None:
    """Return how often and for how many µs the most paused group was; outer groups pause inner ones."""
    if before.pauses is None or after.pauses is None:
        return None
    both = before.pauses.keys() & after.pauses.keys()
    return max(
        ((after.pauses[g][0] - before.pauses[g][0], after.pauses[g][1] - before.pauses[g][1]) for g in both),
        key=lambda paused: paused[1],
        default=None,
    )


def _of_cores(before: Reading, after: Reading, cores: Sequence[int] | None) -> tuple[float | None, float | None]:
    if before.load is None or after.load is None or not cores:
        return None, None
    first, last = before.load, after.load
    total, busy, stolen = (
        sum(getattr(last, name)[core] - getattr(first, name).get(core, 0) for core in cores if core in last.total)
        for name in ("total", "busy", "stolen")
    )
    if total <= 0:
        return None, None
    own = (after.own_s - before.own_s) * os.sysconf("SC_CLK_TCK")
    return _share(busy - stolen - own, total), _share(stolen, total)
