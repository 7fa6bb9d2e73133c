"""The process that MLPerf's LoadGen drives: `python -m pipeline.measure.loadgen_worker JOB.json` does one run.

LoadGen decides when which samples are asked for, and times them; here is only what it calls: a library of samples and
the system under test, which is the very call that our own comparison times. LoadGen's logs stay in the folder that the
job names; the result says under which conditions they arose. Needs the extra `mlperf`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.job import Job
from pipeline.measure.model import check_answers, load_model, read_queries
from pipeline.measure.worker import Result, WorkerProblem, serve
from tinytorch.models.network import Network
from tinytorch.runtime.session import InferenceSession

__all__ = ["KINDS", "LoadGenRefused", "Settings", "expected_ns"]

_CHECKED = 24  # answers kept to compare with the evaluated model's after the run
_WARM_CALLS = 3
_PROBE_CALLS = 200
_PROBE_S = 0.5
# LoadGen generates twice the queries that the expected latency asks for, some 300 bytes each (measured), and ends with
# an error when they run out. With the quickest of the probe's calls times this it generates a quarter more than needed.
_EXPECTED = 1.6
_LEAST_NS = 5_000.0  # of its own work: 156,000 queries a second of a model that does nothing (measured)


class LoadGenRefused(WorkerProblem):
    """LoadGen cannot do what the job asks, or did not do it."""


@dataclass(frozen=True)
class Settings:
    """What LoadGen is asked for: the options of a job of the kind "loadgen". Times have their unit in the name.

    `scenario` and `mode` are LoadGen's names. `user_conf` names a file that LoadGen reads after its own mlperf.conf, as
    official runs do, for the benchmark of that name: then these two files settle everything. `target_qps` and
    `target_latency_ns` belong to Server. `batch_size` is how many samples of a query are given to the model at once.
    `other_cores` is where LoadGen's own threads go; empty leaves them with the caller. `trace` makes LoadGen write
    every sample's latency to its trace, which costs time. `choices` are the kernels of the model's layers; without them
    the usual ones are taken.
    """

    scenario: str
    logs: str
    mode: str = "PerformanceOnly"
    batch_size: int = 1
    samples_per_query: int = 8
    min_duration_ms: int = 600_000
    max_duration_ms: int = 0
    min_query_count: int = 100
    target_qps: float | None = None
    target_latency_ns: int | None = None
    user_conf: str | None = None
    benchmark: str = "*"
    other_cores: Sequence[int] = ()
    trace: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Boundary:
    """Ends the process when a callback fails: an exception must not pass through LoadGen, whose threads go on.

    They would wait for answers for ever, or the interpreter would abort without a word.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            traceback.print_exception(kind, error, trace)
            sys.stderr.write(f"{type(error).__name__} while LoadGen waited for answers: {error}\n")
            sys.stderr.flush()
            os._exit(1)


@dataclass
class _System:
    """The system under test and its samples (count, *input_shape), as LoadGen calls them."""

    loadgen: Any
    call: Callable[[NDArray[np.float32]], NDArray[Any]]
    samples: NDArray[np.float32]
    settings: Settings
    threads_before: frozenset[int]
    answered: int = 0
    kept: list[tuple[NDArray[np.float32], NDArray[Any]]] = field(default_factory=list)
    cores: list[int] = field(default_factory=list)
    boundary: _Boundary = field(default_factory=_Boundary)

    def load(self, indices: Sequence[int]) -> None:
        """Note that samples are wanted, which are in memory already; LoadGen's threads exist by now."""
        with self.boundary:
            self.cores = _move_threads(self.threads_before, self.settings.other_cores)

    def unload(self, indices: Sequence[int]) -> None:
        """Keep the samples: the next set may want them again."""

    def flush(self) -> None:
        """Do nothing: every query is answered before `issue` returns."""

    def issue(self, ids: Sequence[int], indices: Sequence[int]) -> None:
        """Answer the samples of a query in calls of at most batch_size; a response is the model's output as bytes."""
        with self.boundary:
            step = self.settings.batch_size
            for start in range(0, len(ids), step):
                part = indices[start : start + step]
                # One sample is a view; several are gathered, which is part of the work that is timed.
                query = self.samples[part[0] : part[0] + 1] if len(part) == 1 else self.samples[part]
                answer = np.ascontiguousarray(self.call(query))
                self._complete(ids[start : start + step], answer)
                if len(self.kept) < _CHECKED:
                    self.kept.append((query, answer))
            self.answered += len(ids)

    def _complete(self, ids: Sequence[int], answer: NDArray[Any]) -> None:
        # LoadGen copies what it logs before QuerySamplesComplete returns; `answer` lives until then.
        address, size = answer.ctypes.data, answer.nbytes // len(ids)
        response = self.loadgen.QuerySampleResponse
        self.loadgen.QuerySamplesComplete([response(one, address + i * size, size) for i, one in enumerate(ids)])


def _loadgen(job: Job) -> Result:
    """Let LoadGen run the job's only model."""
    import mlperf_loadgen  # the extra

    (path,) = job.models.values()
    options = Settings(**job.options)
    model = load_model(path)
    samples = np.concatenate(read_queries(job.inputs))
    call = _session(model, job, options).run
    query_ns = _probe_calls(call, samples, options)
    before = frozenset(_threads())
    system = _System(mlperf_loadgen, call, samples, options, before)
    settings = _test_settings(mlperf_loadgen, options, query_ns)
    outputs = mlperf_loadgen.LogSettings()
    outputs.log_output.outdir = options.logs
    outputs.enable_trace = options.trace
    library = mlperf_loadgen.ConstructQSL(len(samples), len(samples), system.load, system.unload)
    sut = mlperf_loadgen.ConstructFastSUT(system.issue, system.flush)
    gc.collect()
    gc.freeze()
    gc.disable()
    # An audit.config in the working folder would change the settings: name one that does not exist.
    audit = str(Path(options.logs) / "audit.config")
    began = time.perf_counter()
    mlperf_loadgen.StartTestWithLogSettings(sut, library, settings, outputs, audit)
    seconds = time.perf_counter() - began
    gc.enable()
    mlperf_loadgen.DestroyFastSUT(sut)
    mlperf_loadgen.DestroyQSL(library)
    if not system.answered:
        raise LoadGenRefused("LoadGen asked for nothing; can its logs be written?")
    queries, answers = zip(*system.kept, strict=True)
    check_answers("loadgen", model, queries, dict(enumerate(answers)))
    return {
        "query_ns": query_ns,
        "samples_answered": system.answered,
        "seconds": seconds,
        "loadgen_cores": system.cores,
        "answer": {"dtype": answers[0].dtype.str, "shape": list(answers[0].shape[1:])},
    }


def _probe(job: Job) -> Result:
    """Time what LoadGen would ask for, without LoadGen."""
    (path,) = job.models.values()
    samples = np.concatenate(read_queries(job.inputs))
    options = Settings(**job.options)
    return {"query_ns": _probe_calls(_session(load_model(path), job, options).run, samples, options)}


def _session(model: Network, job: Job, options: Settings) -> InferenceSession:
    """Return the session that answers, for as many samples as a call has."""
    return InferenceSession(model, _call_samples(options), job.threads, options.choices)


def _call_samples(options: Settings) -> int:
    is_multi = options.scenario == "MultiStream"
    return min(options.batch_size, options.samples_per_query) if is_multi else options.batch_size


KINDS: dict[str, Callable[[Job], Result]] = {"loadgen": _loadgen, "probe": _probe}


def _probe_calls(call: Callable[[Any], Any], samples: NDArray[np.float32], options: Settings) -> dict[str, float]:
    """Return the least and the median time in ns of a call as LoadGen will cause it, over up to 200 calls or 0.5 s."""
    size = _call_samples(options)
    starts = np.arange(_WARM_CALLS + _PROBE_CALLS) * size
    times: list[int] = []
    end = time.perf_counter() + _PROBE_S
    for start in starts:
        query = samples[np.arange(start, start + size) % len(samples)]
        began = time.perf_counter_ns()
        call(query)
        times.append(time.perf_counter_ns() - began)
        if len(times) > _WARM_CALLS and time.perf_counter() > end:
            break
    counted = times[_WARM_CALLS:]
    return {"least": float(min(counted)), "median": float(np.median(counted))}


def _test_settings(loadgen: Any, options: Settings, query_ns: dict[str, float]) -> Any:
    """Return LoadGen's settings; raises LoadGenRefused if it cannot read the configuration file."""
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, options.scenario)
    settings.mode = getattr(loadgen.TestMode, options.mode)
    if options.user_conf is None:
        settings.min_duration_ms = options.min_duration_ms
        settings.max_duration_ms = options.max_duration_ms
        settings.min_query_count = options.min_query_count
        settings.multi_stream_samples_per_query = options.samples_per_query
        settings.server_target_qps = options.target_qps or settings.server_target_qps
        settings.server_target_latency_ns = options.target_latency_ns or settings.server_target_latency_ns
    elif code := settings.FromConfig(options.user_conf, options.benchmark, options.scenario):
        raise LoadGenRefused(f"LoadGen cannot read {options.user_conf} (code {code})")
    else:
        return settings  # as official runs have them: by files alone
    calls = -(-settings.multi_stream_samples_per_query // options.batch_size)
    settings.single_stream_expected_latency_ns = expected_ns(query_ns["least"])
    settings.multi_stream_expected_latency_ns = expected_ns(query_ns["least"] * calls)
    # Offline runs last as long as the samples that are asked for; LoadGen asks for a tenth more than this.
    settings.offline_expected_qps = options.batch_size * 1e9 / query_ns["least"]
    return settings


def expected_ns(least_ns: float) -> float:
    """Return the latency to tell LoadGen for queries that take at least so long without it."""
    return max(least_ns * _EXPECTED, _LEAST_NS)


def _threads() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/task")] if sys.platform == "linux" else []


def _move_threads(before: frozenset[int], cores: Sequence[int]) -> list[int]:
    """Put the threads that LoadGen started on `cores`; return where they are ([] where the system does not tell).

    They inherit the core that the caller is pinned to, and would interrupt what is timed.
    """
    started = [thread for thread in _threads() if thread not in before]
    if sys.platform != "linux" or not started:
        return []
    found: set[int] = set()
    for thread in started:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            if cores:
                os.sched_setaffinity(thread, cores)
            found |= os.sched_getaffinity(thread)
    return sorted(found)


if __name__ == "__main__":
    sys.exit(serve(KINDS, sys.argv[1:]))
