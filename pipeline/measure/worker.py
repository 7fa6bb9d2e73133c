"""The timed process: `python -m pipeline.measure.worker JOB.json` does one job and writes one JSON result.

It imports the standard library, numpy, tinytorch (with safetensors), threadpoolctl and pipeline.measure, nothing else.
The parent has set the threads of BLAS in its environment before numpy is imported. What it can foresee ends with one
line on stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from pipeline.measure import machine, memory
from pipeline.measure.clock import measure_clock, wall_ns
from pipeline.measure.gauge import Reading, gauges, read_gauges
from pipeline.measure.harness import Arm, Recording, parts, record
from pipeline.measure.job import Job
from pipeline.measure.layers import layer_times, profile_layers
from pipeline.measure.model import (
    AnswersDiffer,
    call_size,
    check_answers,
    copies_that_fit,
    load_model,
    open_session,
    read_queries,
)
from pipeline.measure.planned import session_record
from pipeline.measure.quantities import measure_quantities
from pipeline.measure.server import Demand, measure
from tinytorch.core.function import no_grad
from tinytorch.errors import TinyTorchError
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import clone

__all__ = ["KINDS", "Result", "WorkerProblem", "main", "recording_json", "serve"]

Result = dict[str, Any]

_CALLS_FOR_MEMORY = 3  # the first prepares what is lazy, the others reuse what it freed
_CALLS_FOR_SPEED = 8


class WorkerProblem(Exception):
    """What a kind of job can foresee going wrong; the worker ends with this message."""


class ThreadsDisagree(WorkerProblem):
    """The libraries run with another number of threads than was asked for."""


def main(arguments: Sequence[str]) -> int:
    """Do the job of the file named by the only argument; return the exit code."""
    return serve(KINDS, arguments)


def serve(
    kinds: Mapping[str, Callable[[Job], Result]],
    arguments: Sequence[str],
    mode: Callable[[], AbstractContextManager[Any]] = no_grad,
) -> int:
    """Do the job of the file named by the only argument with one of `kinds`, inside `mode()`; return the exit code."""
    job = Job.read(Path(arguments[0]))
    pinned = _pin(job.cores)
    before = read_gauges()
    try:
        with mode():
            result = kinds[job.kind](job)
        result["conditions"] = _conditions(job, pinned, before)
    except (AnswersDiffer, OSError, TinyTorchError, WorkerProblem) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    Path(job.result).write_text(json.dumps(result), encoding="utf-8")
    return 0


def _compare(job: Job) -> Result:
    """Time the arms against each other."""
    return _compared(job, _copies(job))


def _server(job: Job) -> Result:
    """Time calls of the arms against each other, then serve queries that arrive at random times."""
    copies = _copies(job)
    result = _compared(job, copies)
    demand = Demand(batch_size=job.batch_size or 1, **job.options)
    calls = [of_arm[0].run for of_arm in copies.values()]
    measured = measure(calls, read_queries(job.inputs), demand, job.seed)
    for arm, name in enumerate(copies):
        check_answers(name, load_model(job.models[name]), *measured.answers(arm))
    return {**result, "server": measured.to_json(list(copies))}


def _compared(job: Job, copies: Mapping[str, Sequence[InferenceSession]]) -> Result:
    names = list(copies)
    queries = read_queries(job.inputs)
    clock = measure_clock()
    np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)  # BLAS sets itself up outside the first call
    arms = _arms(copies)
    first = names.index(job.first)
    recording = record(arms, queries, clock, job.phases, job.seed, first=first, batch_size=job.batch_size)
    for name, answers in zip(names, recording.answers, strict=True):
        check_answers(name, load_model(job.models[name]), queries, answers, job.batch_size)
    return {"clock": clock.to_json(), "is_cpu_time_fine": clock.is_cpu_time_fine, **recording_json(recording)}


def _copies(job: Job) -> dict[str, list[InferenceSession]]:
    """Open each arm's model in as many sessions as memory allows, each with arrays of its own."""
    models = {name: load_model(path) for name, path in job.models.items()}
    queries, rng = read_queries(job.inputs), np.random.default_rng(job.seed)
    copies: dict[str, list[InferenceSession]] = {name: [] for name in models}
    for _ in range(copies_that_fit(job.models.values())):
        for name in rng.permutation(list(copies)).tolist():  # no arm always gets the better place in memory
            copies[name].append(open_session(clone(models[name]), job, name, queries))
    return copies


def _arms(copies: Mapping[str, Sequence[InferenceSession]]) -> list[Arm]:
    return [Arm(name, [session.run for session in sessions]) for name, sessions in copies.items()]


def _quantities(job: Job) -> Result:
    """Read what the machine counts of each arm besides time."""
    arms = _arms(_copies(job))
    queries = read_queries(job.inputs)
    # Bound to other cores than asked for, or to none, it is unknown which clock counts.
    cores = job.cores if job.cores and os.sched_getaffinity(0) == set(job.cores) else ()
    return {"arms": measure_quantities(arms, queries, cores, job.threads, job.batch_size)}


def _memory(job: Job) -> Result:
    """Find the peak memory of calling the job's only model."""
    (path,) = job.models.values()
    (arm,) = job.models
    call = open_session(load_model(path), job, arm, read_queries(job.inputs)).run
    batches = _batches(job, _CALLS_FOR_MEMORY)
    start = memory.reset_peak()
    for batch in batches:
        call(batch)
    found = memory.peak(start)
    return {"peak_rss_bytes": found.size_bytes, "how": found.how}


def _batches(job: Job, count: int) -> tuple[NDArray[np.float32], ...]:
    """Return the samples of the first so many calls, each full."""
    queries = read_queries(job.inputs)
    size = job.batch_size or len(queries[0])
    samples = np.concatenate(queries[: -(-count * size // len(queries[0]))])
    return parts(samples, size)[:count]


def _probe(job: Job) -> Result:
    """Time some calls of every model; the fastest counts."""
    batches, queries = _batches(job, _CALLS_FOR_SPEED), read_queries(job.inputs)
    sessions = {name: open_session(load_model(path), job, name, queries) for name, path in job.models.items()}
    return {"call_ns": {name: _fastest(session.run, batches) for name, session in sessions.items()}}


def _fastest(call: Callable[[NDArray[np.float32]], Any], batches: Sequence[NDArray[np.float32]]) -> int:
    times = []
    for batch in batches:
        began = wall_ns()
        call(batch)
        times.append(wall_ns() - began)
    return min(times)


def _profile(job: Job) -> Result:
    """Time every layer of the job's only model, in a session whose kernels were chosen by measuring."""
    (path,) = job.models.values()
    model, queries = load_model(path), read_queries(job.inputs)
    session = InferenceSession(model, call_size(job, queries), job.threads, "measure")
    return profile_layers(model, session, queries)


def _plan(job: Job) -> Result:
    """Choose the kernels of each arm's layers by measuring all candidates, and time the layers that are chosen."""
    size = call_size(job, read_queries(job.inputs))
    sessions = {
        name: InferenceSession(load_model(path), size, job.threads, "measure") for name, path in job.models.items()
    }
    times = layer_times(sessions, _batches(job, _CALLS_FOR_SPEED))
    return {"sessions": {name: session_record(session, times[name]) for name, session in sessions.items()}}


KINDS: dict[str, Callable[[Job], Result]] = {
    "compare": _compare,
    "memory": _memory,
    "plan": _plan,
    "probe": _probe,
    "profile": _profile,
    "quantities": _quantities,
    "server": _server,
}


def recording_json(recording: Recording) -> Result:
    """Return a recording as a result holds it."""
    return {
        "arms": list(recording.arms),
        "copies": recording.copies,
        "loops": recording.loops,
        "empty_ns": recording.empty_ns,
        "windows": recording.windows,
        "steady": recording.steady,
        "first": recording.arms[recording.first],
        "cold_ns": recording.cold_ns,
        "order": recording.order.tolist(),
        "copy": recording.copy.tolist(),
        "wall_ns": recording.wall_ns.tolist(),
        "cpu_ns": recording.cpu_ns.tolist(),
        "tail_ns": [tail.tolist() for tail in recording.tail_ns],
        "checked": [len(answers) for answers in recording.answers],
    }


def _pin(cores: tuple[int, ...] | None) -> list[int] | None:
    """Bind every thread of this process to `cores`; None where that fails, as it does on cores just taken from us."""
    if cores is None or sys.platform != "linux":
        return None
    try:
        for thread in os.listdir("/proc/self/task"):  # BLAS has started its threads when numpy was imported
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread), cores)
    except OSError:
        return None
    return sorted(os.sched_getaffinity(0))


def _conditions(job: Job, pinned: list[int] | None, before: Reading) -> Result:
    """Return what the figures hold for, read after timing; raises ThreadsDisagree."""
    noise = gauges(before, read_gauges(), pinned)
    packages = sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"__main__"})
    ours = sorted(name for name in sys.modules if name.startswith("pipeline."))
    pools = threadpoolctl.threadpool_info()  # not while timing: it walks all loaded libraries
    wrong = [pool for pool in pools if pool["num_threads"] != job.threads]
    if wrong:
        found = ", ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in wrong)
        raise ThreadsDisagree(f"asked for {job.threads} threads, found {found}")
    blas = [
        f"{p['internal_api']} {p['version']} {p.get('architecture', '')}".strip()
        for p in pools
        if p["user_api"] == "blas"
    ]
    return {
        "blas": blas,
        "gauges": noise,
        "hash_seed": os.environ.get("PYTHONHASHSEED"),
        "numpy": np.__version__,
        "packages": packages,
        "modules": ours,
        "pinned": pinned,
        "python": platform.python_version(),
        "quota": machine.facts()["cores"]["quota"],
        "threads": job.threads,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
