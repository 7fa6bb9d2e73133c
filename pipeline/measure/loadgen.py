"""Let MLPerf's LoadGen measure baseline and optimized model: one fresh process a run, in alternating order.

LoadGen times one system at a time, so it cannot interleave; its figures stand beside our own comparison, which gives
the verdict. What its logs say is read by `loadgen_log`; nothing of them is left out. Parent's side.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.measure import loadgen_worker
from pipeline.measure.job import Job, choices_of
from pipeline.measure.launch import run_worker
from pipeline.measure.loadgen_log import LoadGenRun, Logs, parse_run, read_logs
from pipeline.measure.quiet import idlest

__all__ = ["LEAST_QUERY_NS", "LoadGenQuestion", "SCENARIOS", "compare", "probe", "run_json", "run_loadgen", "too_quick"]

SCENARIOS = {
    "single_stream": "SingleStream",
    "multi_stream": "MultiStream",
    "offline": "Offline",
    "server": "Server",
}

# LoadGen, its Python bindings and the response cost 5.5 µs of CPU a query with a model that does nothing, 15.5 µs on
# another machine: the larger one counts here.
LEAST_QUERY_NS = 100_000
_OVERHEAD_NS = 15_000

_MULTI_STREAM = 8  # samples of a query, in MLPerf's rules
# Least queries for early stopping: 64 for the 90th percentile, 662 for the 99th, one over-latency query tolerated.
_LEAST_QUERIES = {"SingleStream": 64, "MultiStream": 662, "Server": 662, "Offline": 1}
_RUNS = 8  # the budget is for this many, but the time processes take to start is not theirs
_SHORTEST_MS, _LONGEST_MS = 500, 60_000
_PATIENCE = 4  # a run that lacks queries ends after this many times its least duration, and is invalid
_MOST_PAIRS = 8
_START_S = 120  # generous: it only ends what hangs
_RATE = 0.5  # of what the baseline can do, where no rate is given: half load, the same for both models
_ARMS = ("baseline", "optimized")


@dataclass(frozen=True)
class LoadGenQuestion:
    """What LoadGen is to measure; `scenario` is our name, `budget_s` is for all runs of both models."""

    scenario: str
    batch_size: int
    threads: int
    budget_s: float
    seed: int
    rate_per_s: float | None = None
    latency_limit_ms: float | None = None


def compare(question: LoadGenQuestion, models: Mapping[str, Path], samples: Path, folder: Path) -> dict[str, Any]:
    """Return the record of one condition, and under "logs", by run, LoadGen's texts and what the process reported.

    `models` maps baseline and optimized to stored models, `samples` is a .npy file (count, 1, *input_shape), `folder`
    takes jobs, results and logs. The record's `result` is None with a `reason` where LoadGen should not or cannot
    measure this. Raises WorkerFailed if a process dies, LogUnreadable if LoadGen's logs are not what it writes.
    """
    record: dict[str, Any] = {
        "scenario": SCENARIOS[question.scenario],
        "batch_size": question.batch_size,
        "threads": question.threads,
        "query_ns": None,
        "settings": None,
        "result": None,
        "reason": _unfit(question),
        "logs": {},
    }
    if record["reason"]:
        return record
    began = time.monotonic()
    record["sessions"] = _plan(question, models, samples, folder)
    choices = {arm: choices_of(session) for arm, session in record["sessions"].items()}
    looks = {arm: _probe(question, models[arm], samples, folder / f"probe-{arm}.json", choices[arm]) for arm in _ARMS}
    record["query_ns"] = {arm: found["median"] for arm, found in looks.items()}
    record["reason"] = too_quick(record["query_ns"])
    if record["reason"]:
        return record
    record["settings"] = settings = _settings(question, record["query_ns"]["baseline"])
    runs: dict[str, list[LoadGenRun]] = {arm: [] for arm in _ARMS}
    order: list[str] = []
    for pair in range(_MOST_PAIRS):
        for arm in _ARMS if pair % 2 == 0 else reversed(_ARMS):
            logs = folder / f"{arm}-{pair}"
            asked = {**settings, "choices": choices[arm]}
            run, record["logs"][logs.name] = _run(question, asked, models[arm], samples, logs)
            runs[arm].append(run)
            order.append(arm)
        elapsed_s = time.monotonic() - began
        if elapsed_s * (pair + 2) / (pair + 1) > question.budget_s:
            break
    record["result"] = _result(runs, order)
    return record


def run_loadgen(
    model: Path, samples: Path, settings: Mapping[str, Any], threads: int, seed: int, timeout_s: float
) -> tuple[dict[str, Any], Logs]:
    """Let LoadGen run one model in a fresh process; return what the process says, and LoadGen's two logs.

    `settings` are those of `loadgen_worker.Settings`; its `logs` is a folder, made if it is missing.
    """
    folder = Path(settings["logs"])
    folder.mkdir(parents=True, exist_ok=True)
    job = _job("loadgen", model, samples, folder.with_name(f"{folder.name}.json"), settings, threads, seed)
    result = run_worker(job, timeout_s, program=loadgen_worker)
    return result, read_logs(folder)


def too_quick(query_ns: Mapping[str, float]) -> str | None:
    """Return why LoadGen should not time queries as short as these, by name; None if it may."""
    name = min(query_ns, key=lambda arm: query_ns[arm])
    if query_ns[name] >= LEAST_QUERY_NS:
        return None
    share = _OVERHEAD_NS / (query_ns[name] + _OVERHEAD_NS)
    return (
        f"a query takes the {name} model {query_ns[name] / 1e3:.0f} µs, and LoadGen times queries from "
        f"{LEAST_QUERY_NS / 1e3:.0f} µs on: its own work of up to {_OVERHEAD_NS / 1e3:.0f} µs a query "
        f"would be {share:.0%} of the processor's time"
    )


def run_json(run: LoadGenRun) -> dict[str, Any]:
    """Return what a submission keeps of a run."""
    return {
        "validity": run.validity,
        "reasons": list(run.reasons),
        "queries": run.queries,
        "metric": run.metric,
        "samples_per_s": run.samples_per_s,
        "latency_ns": dict(run.latency_ns),
        "constraints": dict(run.constraints),
        "early_stopping": run.early_stopping,
        "errors": list(run.errors),
        "warnings": list(run.warnings),
    }


def _unfit(question: LoadGenQuestion) -> str | None:
    """Return why LoadGen cannot answer this question at all."""
    if question.scenario in ("single_stream", "server") and question.batch_size > 1:
        name = SCENARIOS[question.scenario]
        return f"a query of LoadGen's {name} has one sample, and a batch size of {question.batch_size} needs more"
    if question.scenario == "server" and question.latency_limit_ms is None:
        return "LoadGen's Server needs latency_limit_ms"
    return None


def _settings(question: LoadGenQuestion, baseline_ns: float) -> dict[str, Any]:
    """Return LoadGen's settings, equal for both models."""
    duration_ms = round(min(max(question.budget_s * 1e3 / _RUNS, _SHORTEST_MS), _LONGEST_MS))
    settings: dict[str, Any] = {
        "min_duration_ms": duration_ms,
        "max_duration_ms": duration_ms * _PATIENCE,
        "min_query_count": _LEAST_QUERIES[SCENARIOS[question.scenario]],
        "samples_per_query": _MULTI_STREAM if question.scenario == "multi_stream" else 1,
        "target_qps": None,
        "target_latency_ns": None,
    }
    if question.scenario == "offline":
        settings |= {"min_query_count": question.batch_size, "max_duration_ms": 0}  # one query; it cannot end early
    if question.scenario == "server" and question.latency_limit_ms is not None:
        rate = question.rate_per_s or _RATE * 1e9 / baseline_ns
        settings |= {"target_qps": rate, "target_latency_ns": round(question.latency_limit_ms * 1e6)}
    return settings


def probe(
    scenario: str, batch_size: int, model: Path, samples: Path, folder: Path, threads: int, seed: int
) -> dict[str, float]:
    """Return the least and the median time in ns of what a query takes, in a fresh process without LoadGen.

    `scenario` is our name. A query of multi_stream is several calls where batch_size is below 8; of offline, whose
    query is everything, one call counts. Layers have the usual kernels.
    """
    question = LoadGenQuestion(scenario, batch_size, threads, 0.0, seed)
    return _probe(question, model, samples, folder / f"probe-{model.stem}.json", {})


def _plan(
    question: LoadGenQuestion, models: Mapping[str, Path], samples: Path, folder: Path
) -> dict[str, dict[str, Any]]:
    """Return the records of the sessions that will answer, their kernels chosen by measuring."""
    job = _job("plan", models["baseline"], samples, folder / "plan.json", {}, question.threads, question.seed)
    files = {arm: str(models[arm]) for arm in _ARMS}
    job = replace(job, models=files, options={}, batch_size=_call_samples(question))
    found: dict[str, dict[str, Any]] = run_worker(job, _START_S)["sessions"]
    return found


def _call_samples(question: LoadGenQuestion) -> int:
    is_multi = question.scenario == "multi_stream"
    return min(question.batch_size, _MULTI_STREAM) if is_multi else question.batch_size


def _probe(
    question: LoadGenQuestion, model: Path, samples: Path, result: Path, choices: Mapping[str, str]
) -> dict[str, float]:
    size = _call_samples(question)
    calls = -(-_MULTI_STREAM // size) if question.scenario == "multi_stream" else 1
    settings = {
        "scenario": SCENARIOS[question.scenario],
        "logs": str(result.parent),
        "batch_size": size,
        "choices": choices,
    }
    job = _job("probe", model, samples, result, settings, question.threads, question.seed)
    found = run_worker(job, _START_S, program=loadgen_worker)["query_ns"]
    return {name: ns * calls for name, ns in found.items()}


def _run(
    question: LoadGenQuestion, settings: Mapping[str, Any], model: Path, samples: Path, logs: Path
) -> tuple[LoadGenRun, dict[str, Any]]:
    """Return what a run says, and its two logs with what the process reported: cores, conditions, its own probe."""
    options = {
        **settings,
        "scenario": SCENARIOS[question.scenario],
        "batch_size": question.batch_size,
        "logs": str(logs),
    }
    limit_s = _START_S + 4 * settings["min_duration_ms"] * _PATIENCE / 1e3
    process, texts = run_loadgen(model, samples, options, question.threads, question.seed, limit_s)
    return parse_run(texts), {**dataclasses.asdict(texts), "process": process}


def _job(
    kind: str, model: Path, samples: Path, result: Path, settings: Mapping[str, Any], threads: int, seed: int
) -> Job:
    place = idlest(threads)
    cores = place.cores if place else None
    others = sorted(os.sched_getaffinity(0) - set(cores)) if cores and sys.platform == "linux" else []
    options = {**settings, "other_cores": others}
    return Job(
        kind=kind,
        models={"model": str(model)},
        inputs=str(samples),
        result=str(result),
        threads=threads,
        seed=seed,
        first="model",
        cores=cores,
        options=options,
    )


def _result(runs: Mapping[str, Sequence[LoadGenRun]], order: Sequence[str]) -> dict[str, Any]:
    unit = runs["baseline"][0].unit
    arms = {arm: _arm(found) for arm, found in runs.items()}
    before, after = (arms[arm]["metric"] for arm in _ARMS)
    both = before is not None and after is not None
    ratio = (before / after if unit == "ns" else after / before) if both else None
    return {
        "version": runs["baseline"][0].version,
        "unit": unit,
        "order": list(order),
        "arms": arms,
        "speedup": ratio,
        "speedup_reason": None if both else "a model has no valid run",
    }


def _arm(runs: Sequence[LoadGenRun]) -> dict[str, Any]:
    """Return a model's runs and the median of the metric over those that are valid and without errors."""
    values = [run.metric for run in runs if run.validity == "VALID" and not run.errors and run.metric is not None]
    return {
        "runs": [run_json(run) for run in runs],
        "valid": len(values),
        "metric": statistics.median(values) if values else None,
        "range": [min(values), max(values)] if values else None,
    }
