"""From what the worker processes read to the record of a comparison: ratios, verdict, arms, warnings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.circumstances import MOST_UNSEEN, about_the_machine, unseen_share
from pipeline.measure.harness import undisturbed
from pipeline.measure.job import ARMS
from pipeline.stats.compare import Ratio, ratio, verdict
from pipeline.stats.interval import median_interval, t_interval
from pipeline.stats.percentile import Percentile, percentile
from pipeline.stats.quantile import clustered_quantile_interval

__all__ = ["PERCENTILES", "Question", "comparison", "measured_under", "raw_arrays", "speedup_and_control", "unsettled"]

Process = Mapping[str, Any]
Floats = NDArray[np.float64]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

_BASELINE, _OPTIMIZED, _CONTROL = range(len(ARMS))
_FEWEST_PAIRS = 6  # undisturbed, one of each order, or half of all; with fewer a process says nothing by itself
_MANY_DROPPED = 0.2
_MUCH_SLOWER = 1.2  # one process than another, in the baseline's median


@dataclass(frozen=True)
class Question:
    """What is asked of one comparison. `threshold` and `target_ci` are relative (0.02 is 2 %), `budget_s` wall time."""

    scenario: str
    batch_size: int
    threads: int
    processes: int
    target_ci: float
    budget_s: float
    threshold: float
    seed: int


def speedup_and_control(question: Question, processes: Sequence[Process]) -> tuple[Ratio, Ratio]:
    """Return baseline over optimized, and baseline over its own second copy, for which the former leaves room."""
    timed = [_Timed.of(question, process) for process in processes]
    speedup, control = (_ratio([t.paired(other) for t in timed], question.seed) for other in (_OPTIMIZED, _CONTROL))
    return speedup.widened_by(control), control


def _ratio(processes: Sequence[_Pairs], seed: int) -> Ratio:
    baseline, other, copies = zip(*processes, strict=True)
    return ratio(baseline, other, seed, copies)


def unsettled(control: Ratio, threshold: float) -> bool:
    """Say whether identical code differs in earnest: its interval excludes 1, its estimate is beyond the threshold."""
    return control.excludes_one and max(control.estimate, 1 / control.estimate) > 1 + threshold


def comparison(
    question: Question,
    processes: Sequence[Process],
    busy: Sequence[float | None],
    memory: Mapping[str, Mapping[str, Any]],
    quantities: Mapping[str, Mapping[str, Any]],
    waited_s: float = 0.0,
) -> dict[str, Any]:
    """Return the comparison's record; `memory` and `quantities` are what other processes found of each arm.

    `waited_s` is what was waited for quiet moments.
    """
    timed = [_Timed.of(question, process) for process in processes]
    speedup, control = speedup_and_control(question, processes)
    unseen = unseen_share(processes, _is_filtered(question, processes[0]))
    is_noisy = unsettled(control, question.threshold) or any(t.is_disturbed for t in timed) or unseen > MOST_UNSEEN
    tried, pairs = _pair_counts(timed)
    return {
        "scenario": question.scenario,
        "batch_size": question.batch_size,
        "threads": question.threads,
        "processes": len(processes),
        "pairs": pairs,
        "loops": min(process["loops"] for process in processes),
        "dropped": tried - pairs,
        "steady_state": "reached" if all(process["steady"] for process in processes) else "not_reached",
        "threshold": question.threshold,
        "arms": {
            arm: {**_arm(question, timed, index, memory.get(arm)), **quantities[arm]} for index, arm in enumerate(ARMS)
        },
        "speedup": speedup.to_json(),
        "control": control.to_json(),
        "verdict": "noisy" if is_noisy else verdict(speedup.interval, question.threshold),
        "noisy": is_noisy,
        "warnings": [
            *_about_the_answer(question, timed, speedup, control),
            *_about_the_processes(question, timed, processes),
            *about_the_machine(processes, busy, question.threads, waited_s, unseen),
        ],
    }


def raw_arrays(index: int, question: Question, processes: Sequence[Process]) -> dict[str, NDArray[Any]]:
    """Return every sample of comparison number `index` by name, "INDEX.ARM.PROCESS.what", "INDEX.order.PROCESS", …"""
    arrays: dict[str, NDArray[Any]] = {}
    for number, process in enumerate(processes):
        timed = _Timed.of(question, process)
        for name in ("order", "copy"):
            arrays[f"{index}.{name}.{number}"] = np.array(process[name], dtype=np.int8)
        for column, arm in enumerate(ARMS):
            name = f"{index}.{arm}.{number}"
            arrays[f"{name}.wall_ns"] = np.array(process["wall_ns"], dtype=np.int64)[:, column]
            arrays[f"{name}.cpu_ns"] = np.array(process["cpu_ns"], dtype=np.int64)[:, column]
            arrays[f"{name}.kept"] = timed.kept[:, column].astype(np.uint8)
            arrays[f"{name}.tail_ns"] = np.array(process["tail_ns"][column], dtype=np.int64)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def measured_under(processes: Sequence[Process], busy: Sequence[float | None], waited_s: float = 0.0) -> dict[str, Any]:
    """Return what else is known of the processes of one comparison, in the order they ran."""
    return {
        "copies": [process["copies"] for process in processes],
        "loops": [process["loops"] for process in processes],
        "empty_ns": [process["empty_ns"] for process in processes],
        "warmup_windows": [process["windows"] for process in processes],
        "hash_seeds": [process["conditions"]["hash_seed"] for process in processes],
        "pinned": [process["conditions"]["pinned"] for process in processes],
        "busy_before": list(busy),
        "gauges": [process["conditions"]["gauges"] for process in processes],
        "waited_s": waited_s,
    }


class _Pairs(NamedTuple):
    """Times of two arms by row, and the number of the copies that were timed."""

    baseline_ns: Floats
    other_ns: Floats
    copy: NDArray[np.int64]


@dataclass(frozen=True)
class _Timed:
    """One process as arrays: ns per call (rows, arms), the copy, which samples ran undisturbed, single calls by arm.

    The first call of the process, `cold_ns`, was of the stored model of arm `cold_arm`.
    """

    per_call_ns: Floats
    copy: NDArray[np.int64]
    kept: NDArray[np.bool_]
    tail_ns: tuple[Floats, ...]
    cold_arm: int
    cold_ns: int

    @classmethod
    def of(cls, question: Question, process: Process) -> _Timed:
        wall = np.array(process["wall_ns"], dtype=np.int64)
        kept = undisturbed(wall, np.array(process["cpu_ns"], dtype=np.int64))
        if not _is_filtered(question, process):
            kept = np.ones_like(kept)
        per_call = np.maximum(wall - process["empty_ns"], 1) / process["loops"]
        tail = tuple(np.array(single, dtype=np.float64) for single in process["tail_ns"])
        copy = np.array(process["copy"], dtype=np.int64)
        return cls(per_call, copy, kept, tail, ARMS.index(process["first"]), process["cold_ns"])

    def pair_kept(self, other: int) -> NDArray[np.bool_]:
        """Tell the rows in which the baseline and the other arm both ran undisturbed."""
        both: NDArray[np.bool_] = self.kept[:, _BASELINE] & self.kept[:, other]
        return both

    @property
    def is_disturbed(self) -> bool:
        """Whether too few pairs are undisturbed, so that all had to be taken."""
        fewest = min(_FEWEST_PAIRS, len(self.kept) // 2)
        return any(np.count_nonzero(self.pair_kept(other)) < fewest for other in (_OPTIMIZED, _CONTROL))

    def paired(self, other: int) -> _Pairs:
        """Return the baseline's and the other arm's times by row: the undisturbed ones, or all if they are too few."""
        rows = np.ones(len(self.kept), dtype=np.bool_) if self.is_disturbed else self.pair_kept(other)
        return _Pairs(self.per_call_ns[rows, _BASELINE], self.per_call_ns[rows, other], self.copy[rows])

    def service(self, arm: int) -> Floats:
        """Return an arm's undisturbed times, or all if they are too few."""
        times: Floats = self.per_call_ns[:, arm] if self.is_disturbed else self.per_call_ns[self.kept[:, arm], arm]
        return times


def _is_filtered(question: Question, process: Process) -> bool:
    """Preemption shows in the calling thread's CPU time, if the clock is fine and no other thread does the work."""
    return question.threads == 1 and bool(process["is_cpu_time_fine"])


def _arm(question: Question, timed: Sequence[_Timed], arm: int, memory: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe one arm: location of undisturbed samples (means of `loops` calls), percentiles of all single calls."""
    samples = np.concatenate([t.service(arm) for t in timed])
    medians = np.array([np.median(t.service(arm)) for t in timed])
    tail = np.concatenate([t.tail_ns[arm] for t in timed])
    percentiles = {name: percentile(tail, p) for name, p in PERCENTILES.items()}
    mean_ns = float(np.mean(samples))
    peak = memory or {"peak_rss_bytes": None, "how": "the same stored model as the baseline"}
    is_read = peak["peak_rss_bytes"] is not None
    return {
        "n": len(samples),
        "median_ns": float(np.median(medians)),
        "mean_ns": mean_ns,
        "std_ns": float(np.std(samples, ddof=1)),
        "interval_ns": list(_location_interval(medians)),
        "tail_n": len(tail),
        "percentiles": {name: found.value for name, found in percentiles.items()},
        "percentile_reasons": {name: found.reason for name, found in percentiles.items() if found.reason},
        **_percentile_intervals([t.tail_ns[arm] for t in timed], percentiles),
        "cold_ns": float(np.median([t.cold_ns for t in timed if (t.cold_arm == _OPTIMIZED) == (arm == _OPTIMIZED)])),
        "throughput_per_s": question.batch_size / mean_ns * 1e9,
        "peak_rss_bytes": peak["peak_rss_bytes"],
        "peak_rss_method": peak["how"] if is_read else None,
        "peak_rss_reason": None if is_read else peak["how"],
    }


def _percentile_intervals(tails: Sequence[Floats], percentiles: Mapping[str, Percentile]) -> dict[str, Any]:
    """Return the 95 % intervals of the percentiles that there are, and why others are None."""
    found = {
        name: clustered_quantile_interval(tails, PERCENTILES[name])
        for name, one in percentiles.items()
        if one.value is not None
    }
    return {
        "percentile_intervals": {name: list(one.bounds) if one.bounds else None for name, one in found.items()},
        "percentile_interval_reasons": {name: one.reason for name, one in found.items() if one.reason},
    }


def _location_interval(medians: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the median over processes: by order statistics, or Student's t of logs below six."""
    by_rank = median_interval(medians)
    if by_rank is not None:
        return by_rank
    low, high = np.exp(t_interval(np.log(medians)))
    return float(low), float(high)


def _about_the_answer(question: Question, timed: Sequence[_Timed], speedup: Ratio, control: Ratio) -> list[str]:
    """Return what limits the claims: the control, the number of processes, the width of the interval."""
    count, off = len(timed), abs(control.estimate - 1)
    is_unsettled = unsettled(control, question.threshold)
    return _those(
        (
            is_unsettled,
            f"identical code differed by {off:.1%}, more than {question.threshold:.1%}: nothing can be claimed",
        ),
        (
            control.excludes_one and not is_unsettled,
            f"identical code differed by {off:.2%}, and its interval excludes 1: the speed-up's leaves room for that",
        ),
        (
            count < question.processes,
            f"the budget of {question.budget_s:g} s was spent after {count} of {question.processes} processes",
        ),
        (
            speedup.half_width > question.target_ci,
            f"the speed-up is known to within ±{speedup.half_width:.1%}, not ±{question.target_ci:.1%}, after {count} "
            f"processes; a larger budget_s than {question.budget_s:g} helps",
        ),
    )


def _about_the_processes(question: Question, timed: Sequence[_Timed], processes: Sequence[Process]) -> list[str]:
    """Return what the samples show that a reader has to know to trust the figures, with the numbers."""
    of = f"of {len(processes)} processes"
    tried, pairs = _pair_counts(timed)
    disturbed = sum(t.is_disturbed for t in timed)
    restless = sum(not process["steady"] for process in processes)
    medians = [float(np.median(t.service(_BASELINE))) for t in timed]
    conditions = [process["conditions"] for process in processes]
    unseen = "several threads do the work" if question.threads > 1 else "the clock of CPU time is coarse here"
    return _those(
        (
            disturbed > 0,
            f"in {disturbed} {of} other programs interrupted nearly all pairs; all were taken, nothing can be claimed",
        ),
        (
            tried - pairs > _MANY_DROPPED * tried,
            f"{tried - pairs} of {tried} pairs were dropped because another program interrupted a sample",
        ),
        (
            max(medians) > _MUCH_SLOWER * min(medians) and not disturbed,
            f"a call of the baseline took {_duration(min(medians))} to {_duration(max(medians))} in different "
            "processes: the core changed its speed. Ratios are measured side by side and hold, latencies are those of "
            "the moment",
        ),
        (
            restless > 0,
            f"steady_state not reached: in {restless} {of} times were still changing when the warm-up ended",
        ),
        (not _is_filtered(question, processes[0]), f"interrupted samples could not be told from others: {unseen}"),
        (any(c["pinned"] is None for c in conditions), "processes could not be bound to cores"),
    )


def _duration(ns: float) -> str:
    unit, name = next((size, name) for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (0, "ns")) if ns >= size)
    return f"{ns / (unit or 1):.3g} {name}"


def _those(*remarks: tuple[bool, str]) -> list[str]:
    return [text for is_so, text in remarks if is_so]


def _pair_counts(timed: Sequence[_Timed]) -> tuple[int, int]:
    """Return how many pairs of baseline and optimized were timed, and how many of them are used."""
    return sum(len(t.kept) for t in timed), sum(len(t.paired(_OPTIMIZED).copy) for t in timed)
