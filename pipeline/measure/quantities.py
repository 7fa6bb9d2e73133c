"""Energy, clock and hardware counters of each arm, beside its times: in a process of their own, once per comparison.

Nothing runs where the machine offers nothing, which the parent finds out by reading a few files. Durations are not
taken from here: reading counters between calls would disturb them.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure import counters
from pipeline.measure.clock import wall_ns
from pipeline.measure.energy import EnergyMeter, meter, why_no_energy
from pipeline.measure.frequency import frequency_hz, why_no_frequency
from pipeline.measure.harness import Arm, parts

__all__ = ["QUANTITIES", "measure_quantities", "not_offered", "nothing_offered"]

Samples = NDArray[np.float32]
Parts = tuple[Samples, ...]  # a query as an arm takes it, call by call
Call = Callable[[Samples], Any]

# What each figure is, per query except the clock.
QUANTITIES = {
    "energy_j": "energy of the processor's packages",
    "instructions": "instructions in user space",
    "cycles": "cycles in user space",
    "frequency_hz": "clock of the core",
}

_ROUNDS = 4  # blocks of each arm, every other round in reverse, so that heating up by and by cancels
_ENERGY_BLOCK_NS = 100_000_000  # a hundred updates of the counter: the two cut off at its ends are at most 1 %
_BLOCK_NS = 20_000_000  # where energy is not read
_LOOK_NS = 1_000_000  # between two looks at the clock
_LONG_NS = 3_000_000_000  # after so much, two rounds are enough: queries are slow then


def not_offered(cores: Collection[int], threads: int, root: Path = Path("/")) -> dict[str, str]:
    """Return why a quantity cannot be measured here, for each that cannot; takes about a millisecond."""
    reasons = {"energy_j": why_no_energy(root), "frequency_hz": why_no_frequency(cores, root)}
    if threads > 1:
        alone = "several threads do the work, and counters count the calling one only"
        reasons |= dict.fromkeys(counters.EVENTS, alone)
    else:
        reasons |= counters.offered(counters.EVENTS, root)
    return {name: reason for name in QUANTITIES if (reason := reasons[name])}


def nothing_offered(threads: int, root: Path = Path("/")) -> dict[str, Any] | None:
    """Return the record of an arm if nothing at all can be measured here, with all reasons; None if something can."""
    cores = os.sched_getaffinity(0) if sys.platform == "linux" else ()
    reasons = not_offered(cores, threads, root)
    return _record({}, reasons) if len(reasons) == len(QUANTITIES) else None


def measure_quantities(
    arms: Sequence[Arm],
    queries: Sequence[Samples],
    cores: Collection[int],
    threads: int,
    batch_size: int | None = None,
    root: Path = Path("/"),
) -> dict[str, dict[str, Any]]:
    """Return for each arm {"quantities": {name: figure or None}, "quantity_reasons": {name: why None}}.

    The arms take turns in blocks of at least 0.1 s if energy is read; the next copy of each is used in each round.
    `cores` are those the process is bound to; a call takes at most `batch_size` samples of a query, None all of them.
    """
    split = [parts(query, batch_size or len(query)) for query in queries]
    reasons = not_offered(cores, threads, root)
    energy = None if "energy_j" in reasons else meter(root)
    is_counted = not counters.EVENTS.keys() <= reasons.keys()
    rounds = {arm.name: _Rounds() for arm in arms}
    began = wall_ns()
    for number in range(_ROUNDS):
        if number >= 2 and wall_ns() - began > _LONG_NS:
            break
        for arm in arms if number % 2 == 0 else arms[::-1]:
            call = arm.copies[number % len(arm.copies)]
            found = rounds[arm.name]
            found.add_block(*_block(call, split, energy))
            if "frequency_hz" not in reasons:
                found.clocks_hz.append(frequency_hz(cores, root))
            if is_counted:
                found.add_counts(call, split, root)
    return {name: _record(*found.result(reasons)) for name, found in rounds.items()}


@dataclass
class _Rounds:
    """What was read of one arm so far."""

    joules: float = 0.0
    calls: int = 0
    call_ns: float = 0.0
    clocks_hz: list[float] = field(default_factory=list)
    counts: dict[str, list[float]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    def add_block(self, calls: int, wall: int, joules: float) -> None:
        """Add a block of calls."""
        self.calls += calls
        self.joules += joules
        self.call_ns = wall / calls

    def add_counts(self, call: Call, queries: Sequence[Parts], root: Path) -> None:
        """Count some calls, less what the loop around them takes."""
        calls = math.ceil(_BLOCK_NS / self.call_ns)
        counted = counters.count(lambda: _repeat(call, queries, calls), counters.EVENTS, root)
        empty = counters.count(lambda: _repeat(_nothing, queries, calls), counters.EVENTS, root)
        for name, reading in counted.items():
            loop = empty[name]
            if reading.value is None or loop.value is None:
                self.refusals[name] = reading.reason or loop.reason or ""
            else:
                self.counts.setdefault(name, []).append((reading.value - loop.value) / calls)

    def result(self, not_offered: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
        """Return the figures that there are, and why others are missing: medians over rounds, the mean for energy."""
        reasons = {**self.refusals, **not_offered}
        figures = {name: statistics.median(each) for name, each in self.counts.items()}
        if self.clocks_hz:
            figures["frequency_hz"] = statistics.median(self.clocks_hz)
        if "energy_j" not in reasons:
            figures["energy_j"] = self.joules / self.calls
        for name in [name for name, figure in figures.items() if figure <= 0]:
            reasons[name] = f"the counter did not move in {self.calls} calls"
        return figures, reasons


def _record(figures: Mapping[str, float], reasons: Mapping[str, str]) -> dict[str, Any]:
    return {
        "quantities": {name: None if name in reasons else figures[name] for name in QUANTITIES},
        "quantity_reasons": dict(reasons),
    }


def _block(call: Call, queries: Sequence[Parts], energy: EnergyMeter | None) -> tuple[int, int, float]:
    """Work off queries for a block's time; return their number, their wall time in ns, and the energy in joules."""
    began = wall_ns()
    _repeat(call, queries, 1)
    step = max(1, _LOOK_NS // max(1, wall_ns() - began))
    length = _BLOCK_NS if energy is None else _ENERGY_BLOCK_NS
    calls, before = 0, energy.read() if energy else ()
    began = wall_ns()
    while not calls or wall_ns() - began < length:
        _repeat(call, queries, step)
        calls += step
    wall = wall_ns() - began
    return calls, wall, energy.joules(before, energy.read()) if energy else 0.0


def _repeat(call: Call, queries: Sequence[Parts], calls: int) -> None:
    for query in itertools.islice(itertools.cycle(queries), calls):
        for part in query:
            call(part)


def _nothing(part: Samples) -> Samples:
    return part
