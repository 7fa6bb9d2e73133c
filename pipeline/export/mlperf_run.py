"""Run the submitted model under LoadGen, for performance and for accuracy, and write MLPerf's results tree.

The model and the labels come out of the store by the digests that the submission names; the submission is data that
anybody may have written, so nothing in it becomes a path. Leaves out the texts of the tree (`mlperf_tree`).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export import mlperf_tree as tree
from pipeline.export.stored import stored_bytes, stored_split
from pipeline.export.target import Exported, Source
from pipeline.measure import machine
from pipeline.measure.loadgen import SCENARIOS, probe, run_loadgen, too_quick
from pipeline.measure.loadgen_log import DETAIL, SUMMARY, LoadGenRun, Logs, parse_run, read_log
from pipeline.measure.loadgen_worker import expected_ns
from pipeline.measure.setting import check_threads

__all__ = ["export"]

_BY_LOADGEN = {name: ours for ours, name in SCENARIOS.items()}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_LOG_BYTES = 1 << 30
_LEAST_SAMPLES: dict[str, tuple[int, int]] = {
    "resnet": (1024, 50_000)
}  # performance samples, and the whole data set, that the checker asks for
_START_S = 120
_QUERY_BYTES = 350  # measured: 5 million queries, 1.9 GB; LoadGen generates twice what the time asks for


@dataclass(frozen=True)
class _Plan:
    """What is asked for, checked."""

    scenario: str
    seconds: float
    batch_size: int
    threads: int
    names: Mapping[str, str]
    server: Mapping[str, float]
    benchmark: str
    allow_overhead: bool

    @property
    def is_full(self) -> bool:
        """Whether the run is as long as MLPerf asks."""
        return self.seconds >= tree.LEAST_DURATION_S


@dataclass(frozen=True)
class _Runs:
    """What LoadGen wrote of both runs, what the performance run says, and how many answers were right."""

    conf: str
    performance: Logs
    accuracy: Logs
    run: LoadGenRun
    accuracy_log: bytes
    correct: int
    query_ns: float


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Run LoadGen and fill the folder `out`, which is empty; return what was written and what LoadGen says.

    Raises UserError for arguments that cannot be and for queries too short for LoadGen, EnvironmentProblem where the
    model or its data are no longer stored, WorkerFailed or LogUnreadable if LoadGen's run fails.
    """
    plan = _plan(args)
    split = stored_split(source, "test")
    if not np.issubdtype(split.labels.dtype, np.integer) or split.labels.ndim != 1:
        raise UserError("only models that name a class for each sample can be exported to MLPerf")
    with tempfile.TemporaryDirectory(prefix="mlperf-") as name:
        folder = Path(name)
        (folder / "model.safetensors").write_bytes(
            stored_bytes(source, source.submission["provenance"]["weights"]["optimized"])
        )
        np.save(folder / "samples.npy", split.images(np.arange(len(split)))[:, np.newaxis], allow_pickle=False)
        runs = _run(plan, folder, split.labels)
    model = _NO_NAME.sub("-", source.submission["experiment"]["name"]).strip(".-")[:48] or "model"
    notes = _notes(plan, runs, len(split), source.submission)
    _write(plan, runs, source, out, f"tinytorch-{model}", notes)
    return _exported(plan, runs, len(split), out, notes)


def _plan(args: argparse.Namespace) -> _Plan:
    """Check the arguments; raises UserError."""
    names = {"submitter": args.submitter, "system": args.system, "benchmark": args.benchmark}
    for option, name in names.items():
        if not _NAME.fullmatch(name):
            raise UserError(f"--{option} is {name!r}, expected letters, digits, '.', '_' and '-', 64 at most")
    numbers = {"seconds": args.seconds, "batch-size": args.batch_size, "threads": args.threads}
    server = {"rate_per_s": args.rate, "latency_limit_ms": args.latency_limit_ms}
    is_server = args.scenario == "Server"
    if is_server and None in server.values():
        raise UserError("Server needs --rate and --latency-limit-ms")
    if not is_server and any(value is not None for value in server.values()):
        raise UserError(f"--rate and --latency-limit-ms belong to Server, not to {args.scenario}")
    for option, value in {**numbers, **(server if is_server else {})}.items():
        if not (math.isfinite(value) and 0 < value <= 1e7):
            raise UserError(f"--{option} is {value}, expected a number above 0")
    if args.batch_size > 1 and args.scenario in ("SingleStream", "Server"):
        raise UserError(f"a query of {args.scenario} has one sample: leave out --batch-size")
    check_threads([args.threads])
    return _Plan(
        scenario=args.scenario,
        seconds=args.seconds,
        batch_size=args.batch_size,
        threads=args.threads,
        names={"submitter": args.submitter, "system": args.system, "status": args.status},
        server=server,
        benchmark=args.benchmark,
        allow_overhead=args.allow_overhead,
    )


def _run(plan: _Plan, folder: Path, labels: NDArray[np.integer[Any]]) -> _Runs:
    """Probe, then run accuracy and performance, each in a fresh process, as the two files of configuration say."""
    model, samples = folder / "model.safetensors", folder / "samples.npy"
    ours = _BY_LOADGEN[plan.scenario]
    found = probe(ours, plan.batch_size, model, samples, folder, plan.threads, 0)
    reason = too_quick({"submitted": found["median"]})
    if reason and not plan.allow_overhead:
        raise UserError(reason, hint="take Offline with a --batch-size, or run it with --allow-overhead all the same")
    expected = found["least"] if plan.scenario == "Offline" else expected_ns(found["least"])
    conf = tree.user_conf(plan.scenario, plan.seconds, plan.batch_size, expected, plan.server)
    (folder / "user.conf").write_text(conf, encoding="ascii")
    _check_memory(plan, expected)
    options = {"scenario": plan.scenario, "batch_size": plan.batch_size, "user_conf": str(folder / "user.conf")}
    work_s = len(labels) * (1 / plan.server["rate_per_s"] if plan.scenario == "Server" else found["median"] / 1e9)
    accuracy = {**options, "mode": "AccuracyOnly", "logs": str(folder / "accuracy")}
    result, accuracy_logs = run_loadgen(model, samples, accuracy, plan.threads, 0, _START_S + 10 * work_s)
    log = read_log(folder / "accuracy" / "mlperf_log_accuracy.json", _MOST_LOG_BYTES)
    predicted = tree.predictions(log, len(labels), result["answer"]["dtype"], result["answer"]["shape"])
    performance = {**options, "mode": "PerformanceOnly", "logs": str(folder / "performance")}
    _, logs = run_loadgen(model, samples, performance, plan.threads, 0, _START_S + 4 * plan.seconds)
    correct = int((predicted == labels).sum())
    return _Runs(conf, logs, accuracy_logs, parse_run(logs), log, correct, found["median"])


def _check_memory(plan: _Plan, query_ns: float) -> None:
    """Raise EnvironmentProblem if the queries that LoadGen generates before it starts cannot fit into memory."""
    rate = plan.server["rate_per_s"] if plan.scenario == "Server" else plan.batch_size * 1e9 / query_ns
    needed, memory = 2 * plan.seconds * rate * _QUERY_BYTES, machine.facts()["memory_bytes"]
    if memory and needed > memory:
        raise EnvironmentProblem(
            f"LoadGen would need about {needed / 2**30:.1f} GiB for its queries, and there are {memory / 2**30:.1f}",
            hint="take fewer --seconds, or a scenario with longer queries",
        )


def _notes(plan: _Plan, runs: _Runs, count: int, submission: Mapping[str, Any]) -> list[str]:
    """Return what the checker will object to, and what else a reader has to know."""
    notes = []
    if runs.run.validity != "VALID":
        notes.append(f"LoadGen calls the run INVALID: {'; '.join(runs.run.reasons)}")
    notes += [f"LoadGen logged the error {error}" for error in runs.run.errors if error not in runs.run.reasons]
    if not plan.is_full:
        notes.append(f"the run lasted at least {plan.seconds:g} s, and the checker asks for {tree.LEAST_DURATION_S} s")
    performance, whole = _LEAST_SAMPLES.get(plan.benchmark, (0, 0))
    if count < performance:
        notes.append(f"{plan.benchmark} asks for {performance:,} performance samples, and the test split has {count:,}")
    if whole and count != whole:
        notes.append(
            f"{plan.benchmark}'s data set has {whole:,} samples, and the test split has {count:,}: the checker takes "
            "another data set only with --skip-dataset-size-check"
        )
    if reason := too_quick({"submitted": runs.query_ns}):
        notes.append(f"not the checker's concern, but: {reason}")
    ours = submission["accuracy"]["optimized"]["test"]["correct"]
    if runs.correct != ours:
        notes.append(f"LoadGen's run had {runs.correct} of {count} answers right, and the submission says {ours}")
    return notes


def _write(plan: _Plan, runs: _Runs, source: Source, out: Path, model: str, notes: list[str]) -> None:
    """Write the tree. Every part of a path is a constant, or was checked to be a plain name."""
    names, submission = plan.names, source.submission
    base = out / "open" / names["submitter"]
    results = base / "results" / names["system"] / model / plan.scenario
    facts = {
        **names,
        "model": model,
        "scenario": plan.scenario,
        "seconds": plan.seconds,
        "threads": plan.threads,
        "batch_size": plan.batch_size,
        "benchmark": plan.benchmark,
        "version": _NO_NAME.sub("-", submission["provenance"]["versions"]["package"]),
        "loadgen": runs.run.version,
        "result": _result(runs.run),
        "accuracy": tree.accuracy_text(runs.correct, _count(runs), b"").partition("=")[2].partition(",")[0],
        "data": _NO_NAME.sub("-", submission["provenance"]["data"]["name"]),
    }
    page = tree.readme(facts, notes)
    texts = {
        results / "performance" / "run_1" / SUMMARY: runs.performance.summary,
        results / "performance" / "run_1" / DETAIL: runs.performance.detail,
        results / "accuracy" / SUMMARY: runs.accuracy.summary,
        results / "accuracy" / DETAIL: runs.accuracy.detail,
        results / "accuracy" / "accuracy.txt": tree.accuracy_text(runs.correct, _count(runs), runs.accuracy_log),
        results / "user.conf": runs.conf,
        results / "README.md": page,
        results / "measurements.json": _json(tree.measurements_json(submission)),
        base / "systems" / f"{names['system']}.json": _json(tree.system_json(machine.facts(), submission, names)),
        base / "model_mapping.json": _json({model: plan.benchmark}),
        base / "src" / "experiment.json": _json(submission["experiment"]["document"]),
        base / "src" / "submission.json": _json(submission),
        out / "README.md": page,
    }
    whole = out / "accuracy_logs" / f"{plan.scenario}-mlperf_log_accuracy.json"
    data = {path: text.encode() for path, text in texts.items()}
    data |= {
        whole: runs.accuracy_log,
        results / "accuracy" / "mlperf_log_accuracy.json": tree.shortened(runs.accuracy_log),
    }
    for path, content in data.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _exported(plan: _Plan, runs: _Runs, count: int, out: Path, notes: list[str]) -> Exported:
    run = runs.run
    lines = [
        f"wrote {out}: MLPerf's open division, {plan.scenario}",
        f"LoadGen {run.version.partition(' ')[0]}: {_result(run)}",
        f"accuracy {runs.correct / count:.2%} ({runs.correct} of {count}), from LoadGen's accuracy log",
        *(f"note: {note}" for note in notes),
    ]
    document = {
        "out": str(out),
        "scenario": plan.scenario,
        "seconds": plan.seconds,
        "validity": run.validity,
        "reasons": list(run.reasons),
        "errors": list(run.errors),
        "warnings": list(run.warnings),
        "metric": run.metric,
        "unit": run.unit,
        "queries": run.queries,
        "samples_per_s": run.samples_per_s,
        "accuracy": {"correct": runs.correct, "evaluated": count},
        "notes": notes,
    }
    is_good = run.validity == "VALID" and not run.errors
    problem = "" if is_good else f"LoadGen calls the run {run.validity}, with {len(run.errors)} errors"
    return Exported("\n".join(lines), document, problem)


def _result(run: LoadGenRun) -> str:
    what = {"SingleStream": "90th percentile", "MultiStream": "99th percentile"}.get(run.scenario, "throughput")
    value = (
        "no estimate"
        if run.metric is None
        else f"{run.metric / 1e3:.1f} µs"
        if run.unit == "ns"
        else f"{run.metric:.1f} samples/s"
    )
    return f"{run.validity}, {what} {value}, {run.queries:,} queries"


def _count(runs: _Runs) -> int:
    return len({entry["qsl_idx"] for entry in json.loads(runs.accuracy_log)})


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
