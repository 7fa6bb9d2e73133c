"""From what the worker processes read to the record of a comparison: ratios, verdict, arms, warnings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.arm import arm_record
from pipeline.measure.circumstances import MOST_UNSEEN, about_the_machine, unseen_share
from pipeline.measure.job import ARMS
from pipeline.measure.scenario import SCENARIOS
from pipeline.measure.serving import about_the_rates, rate_ratio, server_record
from pipeline.measure.timed import (
    BASELINE,
    CONTROL,
    OPTIMIZED,
    Pairs,
    Process,
    Timed,
    is_filtered,
    pair_counts,
    single_queries,
)
from pipeline.stats.compare import Ratio, ratio, verdict

__all__ = ["Question", "comparison", "measured_under", "raw_arrays", "speedup_and_control", "unsettled"]

_LATER = ("prompt_tokens", "new_tokens", "kv_cache")  # fields that older evidence lacks
_MANY_DROPPED = 0.2
_MUCH_SLOWER = 1.2  # one process than another, in the baseline's median


@dataclass(frozen=True)
class Question:
    """What is asked of one comparison. `threshold` and `target_ci` are relative (0.02 is 2 %), `budget_s` wall time.

    A query has `samples_per_query` samples and is worked off in calls of at most `batch_size`; a server takes up to so
    many queries in a call. A limit and a rate are a server's; of the scenario generate, whose samples are the tokens
    after the first of each text, are the last three fields.
    """

    scenario: str
    batch_size: int
    threads: int
    processes: int
    target_ci: float
    budget_s: float
    threshold: float
    seed: int
    samples_per_query: int = 1
    latency_limit_ms: float | None = None
    rate_per_s: float | None = None
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    kv_cache: str | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any], scenario: str, batch_size: int, threads: int, **own: Any) -> Question:
        """Return a question under the settings of a benchmark's spec; `own` are the fields of a scenario."""
        asked = {name: spec[name] for name in ("processes", "target_ci", "budget_s", "threshold", "seed")}
        return cls(scenario=scenario, batch_size=batch_size, threads=threads, **asked, **own)

    @property
    def call_size(self) -> int:
        """The samples of one call, at most."""
        return self.batch_size if self.is_server else min(self.batch_size, self.samples_per_query)

    @property
    def is_server(self) -> bool:
        """Whether queries arrive by themselves."""
        return self.latency_limit_ms is not None

    def to_json(self) -> dict[str, Any]:
        """Return what a record holds: without the fields of other scenarios that came later than the first ones."""
        return {name: value for name, value in asdict(self).items() if value is not None or name not in _LATER}


def speedup_and_control(question: Question, processes: Sequence[Process]) -> tuple[Ratio, Ratio]:
    """Return baseline over optimized, and baseline over its own second copy, for which the former leaves room.

    Ratios of times of a query; of a server optimized over baseline in rates, if both models have them.
    """
    by_rate = _rate_ratios(question, processes)
    if by_rate is None:
        timed = [Timed.of(question.threads, process) for process in processes]
        by_rate = tuple(_ratio([t.paired(other) for t in timed], question.seed) for other in (OPTIMIZED, CONTROL))
    speedup, control = by_rate
    return speedup.widened_by(control), control


def _rate_ratios(question: Question, processes: Sequence[Process]) -> tuple[Ratio, ...] | None:
    if not question.is_server:
        return None
    is_given = question.rate_per_s is not None
    ratios = [rate_ratio(processes, other, is_given, question.seed) for other in (OPTIMIZED, CONTROL)]
    return None if None in ratios else tuple(found for found in ratios if found is not None)


def _ratio(processes: Sequence[Pairs], seed: int) -> Ratio:
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
    sessions: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the comparison's record; `memory` and `quantities` are what other processes found of each arm.

    `waited_s` is what was waited for quiet moments; `sessions` are the records of those that were timed.
    """
    timed = [Timed.of(question.threads, process) for process in processes]
    speedup, control = speedup_and_control(question, processes)
    # Rates are of queries that wait for whatever interrupts the server: no filter takes that out.
    unseen = unseen_share(processes, is_filtered(question.threads, processes[0]) and not question.is_server)
    is_noisy = unsettled(control, question.threshold) or any(t.is_disturbed for t in timed) or unseen > MOST_UNSEEN
    tried, pairs = pair_counts(timed)
    server, samples_per_query = _server(question, processes), question.samples_per_query
    return {
        "scenario": question.scenario,
        "batch_size": question.batch_size,
        "samples_per_query": samples_per_query,
        "threads": question.threads,
        "processes": len(processes),
        "pairs": pairs,
        "loops": min(process["loops"] for process in processes),
        "dropped": tried - pairs,
        "steady_state": "reached" if all(process["steady"] for process in processes) else "not_reached",
        "threshold": question.threshold,
        "arms": {
            arm: {
                **arm_record(timed, index, samples_per_query, memory.get(arm), _no_percentiles(question, server, arm)),
                **quantities[arm],
                **({"session": sessions[arm]} if sessions and arm in sessions else {}),
            }
            for index, arm in enumerate(ARMS)
        },
        "speedup": speedup.to_json(),
        "control": control.to_json(),
        "verdict": "noisy" if is_noisy else verdict(speedup.interval, question.threshold),
        "noisy": is_noisy,
        "server": server,
        "warnings": [
            *_about_the_scenario(question, processes),
            *_about_the_answer(question, timed, speedup, control),
            *_about_the_processes(question, timed, processes),
            *about_the_machine(processes, busy, question.threads, waited_s, unseen),
        ],
    }


def _server(question: Question, processes: Sequence[Process]) -> dict[str, Any] | None:
    limit_ms = question.latency_limit_ms
    return None if limit_ms is None else server_record(limit_ms, question.rate_per_s, processes)


def _no_percentiles(question: Question, server: Mapping[str, Any] | None, arm: str) -> str:
    """Return why an arm has no percentiles whatever was timed, "" if it may have some."""
    if server is not None:
        return server["arms"][arm]["rate_per_s_reason"] or ""
    return SCENARIOS[question.scenario].no_percentiles


def _about_the_scenario(question: Question, processes: Sequence[Process]) -> list[str]:
    """Return what limits the figures of this scenario."""
    record = _server(question, processes)
    if record is not None:
        return about_the_rates(record, _rate_ratios(question, processes) is not None)
    size = question.samples_per_query
    return _those(
        (question.batch_size > size, f"a query has {size} samples: calls are of {size}, not {question.batch_size}")
    )


def raw_arrays(index: int, question: Question, processes: Sequence[Process]) -> dict[str, NDArray[Any]]:
    """Return every sample of comparison number `index` by name, "INDEX.ARM.PROCESS.what", "INDEX.order.PROCESS", …

    `tail_ns` are single queries; of a server all those at the arm's rate, from their arrival.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for number, process in enumerate(processes):
        timed = Timed.of(question.threads, process)
        for name in ("order", "copy"):
            arrays[f"{index}.{name}.{number}"] = np.array(process[name], dtype=np.int8)
        for column, arm in enumerate(ARMS):
            name = f"{index}.{arm}.{number}"
            arrays[f"{name}.wall_ns"] = np.array(process["wall_ns"], dtype=np.int64)[:, column]
            arrays[f"{name}.cpu_ns"] = np.array(process["cpu_ns"], dtype=np.int64)[:, column]
            arrays[f"{name}.kept"] = timed.kept[:, column].astype(np.uint8)
            arrays[f"{name}.tail_ns"] = np.array(single_queries(process)[column], dtype=np.int64)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def measured_under(
    question: Question, processes: Sequence[Process], busy: Sequence[float | None], waited_s: float = 0.0
) -> dict[str, Any]:
    """Return what was asked and what else is known of the processes of one comparison, in the order they ran.

    With the raw samples it is all that `comparison` computes its figures and warnings from.
    """
    return {
        "question": question.to_json(),
        "copies": [process["copies"] for process in processes],
        "loops": [process["loops"] for process in processes],
        "empty_ns": [process["empty_ns"] for process in processes],
        "warmup_windows": [process["windows"] for process in processes],
        "hash_seeds": [process["conditions"]["hash_seed"] for process in processes],
        "pinned": [process["conditions"]["pinned"] for process in processes],
        "busy_before": list(busy),
        "gauges": [process["conditions"]["gauges"] for process in processes],
        "quotas": [process["conditions"]["quota"] for process in processes],
        "first": [process["first"] for process in processes],
        "cold_ns": [process["cold_ns"] for process in processes],
        "steady": [process["steady"] for process in processes],
        "is_cpu_time_fine": [process["is_cpu_time_fine"] for process in processes],
        "server": [_without_latencies(process["server"]) if "server" in process else None for process in processes],
        "waited_s": waited_s,
    }


def _without_latencies(server: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server found, less the latencies, which are among the samples."""
    arms = {
        arm: {name: value for name, value in found.items() if name != "latency_ns"}
        for arm, found in server["arms"].items()
    }
    return {"queries": server["queries"], "arms": arms}


def _about_the_answer(question: Question, timed: Sequence[Timed], speedup: Ratio, control: Ratio) -> list[str]:
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


def _about_the_processes(question: Question, timed: Sequence[Timed], processes: Sequence[Process]) -> list[str]:
    """Return what the samples show that a reader has to know to trust the figures, with the numbers."""
    of = f"of {len(processes)} processes"
    tried, pairs = pair_counts(timed)
    disturbed = sum(t.is_disturbed for t in timed)
    restless = sum(not process["steady"] for process in processes)
    medians = [float(np.median(t.service(BASELINE))) for t in timed]
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
            f"a query of the baseline took {_duration(min(medians))} to {_duration(max(medians))} in different "
            "processes: the core changed its speed. Ratios are measured side by side and hold, latencies are those of "
            "the moment",
        ),
        (
            restless > 0,
            f"steady_state not reached: in {restless} {of} times were still changing when the warm-up ended",
        ),
        (
            not is_filtered(question.threads, processes[0]),
            f"interrupted samples could not be told from others: {unseen}",
        ),
        (any(c["pinned"] is None for c in conditions), "processes could not be bound to cores"),
    )


def _duration(ns: float) -> str:
    unit, name = next((size, name) for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (0, "ns")) if ns >= size)
    return f"{ns / (unit or 1):.3g} {name}"


def _those(*remarks: tuple[bool, str]) -> list[str]:
    return [text for is_so, text in remarks if is_so]
