"""One process of a comparison as arrays: times of calls, which of them ran undisturbed, single queries. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.harness import undisturbed
from pipeline.measure.job import ARMS

__all__ = [
    "BASELINE",
    "CONTROL",
    "OPTIMIZED",
    "Pairs",
    "Process",
    "Timed",
    "is_filtered",
    "pair_counts",
    "single_queries",
]

Process = Mapping[str, Any]
Floats = NDArray[np.float64]

BASELINE, OPTIMIZED, CONTROL = range(len(ARMS))
_FEWEST_PAIRS = 6  # undisturbed, one of each order, or half of all; with fewer a process says nothing by itself


class Pairs(NamedTuple):
    """Times of two arms by row, and the number of the copies that were timed."""

    baseline_ns: Floats
    other_ns: Floats
    copy: NDArray[np.int64]


@dataclass(frozen=True)
class Timed:
    """One process as arrays: ns per query (rows, arms), the copy, which samples ran undisturbed, single queries by arm.

    The first call of the process, `cold_ns`, was of the stored model of arm `cold_arm`.
    """

    per_query_ns: Floats
    copy: NDArray[np.int64]
    kept: NDArray[np.bool_]
    tail_ns: tuple[Floats, ...]
    cold_arm: int
    cold_ns: int

    @classmethod
    def of(cls, threads: int, process: Process) -> Timed:
        wall = np.array(process["wall_ns"], dtype=np.int64)
        kept = undisturbed(wall, np.array(process["cpu_ns"], dtype=np.int64))
        if not is_filtered(threads, process):
            kept = np.ones_like(kept)
        per_query = np.maximum(wall - process["empty_ns"], 1) / process["loops"]
        tail = tuple(np.array(single, dtype=np.float64) for single in single_queries(process))
        copy = np.array(process["copy"], dtype=np.int64)
        return cls(per_query, copy, kept, tail, ARMS.index(process["first"]), process["cold_ns"])

    def pair_kept(self, other: int) -> NDArray[np.bool_]:
        """Tell the rows in which the baseline and the other arm both ran undisturbed."""
        both: NDArray[np.bool_] = self.kept[:, BASELINE] & self.kept[:, other]
        return both

    @cached_property
    def is_disturbed(self) -> bool:
        """Whether too few pairs are undisturbed, so that all had to be taken."""
        fewest = min(_FEWEST_PAIRS, len(self.kept) // 2)
        return any(np.count_nonzero(self.pair_kept(other)) < fewest for other in (OPTIMIZED, CONTROL))

    def paired(self, other: int) -> Pairs:
        """Return the baseline's and the other arm's times by row: the undisturbed ones, or all if they are too few."""
        rows = np.ones(len(self.kept), dtype=np.bool_) if self.is_disturbed else self.pair_kept(other)
        return Pairs(self.per_query_ns[rows, BASELINE], self.per_query_ns[rows, other], self.copy[rows])

    def service(self, arm: int) -> Floats:
        """Return an arm's undisturbed times, or all if they are too few."""
        times: Floats = self.per_query_ns[:, arm] if self.is_disturbed else self.per_query_ns[self.kept[:, arm], arm]
        return times


def is_filtered(threads: int, process: Process) -> bool:
    """Preemption shows in the calling thread's CPU time, if the clock is fine and no other thread does the work."""
    return threads == 1 and bool(process["is_cpu_time_fine"])


def single_queries(process: Process) -> Sequence[Sequence[int]]:
    """Return the ns of single queries by arm: of a server under load, from their arrival."""
    if "server" in process:
        return [process["server"]["arms"][arm]["latency_ns"] for arm in ARMS]
    found: Sequence[Sequence[int]] = process["tail_ns"]
    return found


def pair_counts(timed: Sequence[Timed]) -> tuple[int, int]:
    """Return how many pairs of baseline and optimized were timed, and how many of them are used."""
    return sum(len(t.kept) for t in timed), sum(len(t.paired(OPTIMIZED).copy) for t in timed)
