"""The process in which peers are timed beside our models: `python -m pipeline.measure.peer_worker JOB.json`.

As pipeline.measure.worker, but it also imports the runtimes that the job names, so that they and ours take turns within
one process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.clock import measure_clock
from pipeline.measure.harness import Arm, record
from pipeline.measure.job import Job
from pipeline.measure.model import AnswersDiffer, check_answers, load_model, open_session, read_queries
from pipeline.measure.peer_outputs import compare_outputs
from pipeline.measure.peer_runtimes import RUNTIMES, ThreadsIgnored
from pipeline.measure.worker import Result, WorkerProblem, recording_json, serve
from tinytorch.models.network import Network
from tinytorch.serialization import clone

__all__ = ["KINDS", "OURS", "main"]

# Our arms, and the networks they run: the control is a second copy of the optimized model.
OURS = {"optimized": "optimized", "control": "optimized", "baseline": "baseline"}

Call = Callable[[NDArray[np.float32]], NDArray[Any]]


def main(arguments: Sequence[str]) -> int:
    """Do the job of the file named by the only argument; return the exit code."""
    return serve(KINDS, arguments)


def _check(job: Job) -> Result:
    """Compare the outputs of every peer with ours on all queries, before anything is timed."""
    _limit(job)
    queries = read_queries(job.inputs)
    with _contexts(job):
        found = {arm: [np.array(call(query)) for query in queries] for arm, call in _peers(job).items()}
    ours = {name: open_session(load_model(job.models[name]), job, name, queries) for name in set(OURS.values())}
    outputs = {}
    for arm, answers in found.items():
        peer = job.options["peers"][arm]
        expected = [ours[peer["network"]].run(query) for query in queries]
        outputs[arm] = compare_outputs(np.concatenate(answers), np.concatenate(expected), peer["precision"])
    return {"outputs": outputs}


def _time(job: Job) -> Result:
    """Time ours and the peers against each other; the arms are ours first, then the peers as the job lists them."""
    _limit(job)
    queries = read_queries(job.inputs)
    models = {network: load_model(job.models[network]) for network in set(OURS.values())}
    copies: dict[str, list[Call]] = {arm: [] for arm in (*OURS, *job.options["peers"])}
    rng = np.random.default_rng(job.seed)
    with _contexts(job):
        for _ in range(job.options["copies"]):
            for arm in rng.permutation(list(copies)).tolist():  # no arm always gets the better place in memory
                copies[arm].append(_open(job, arm, models, queries) if arm in OURS else _load(job, arm))
        clock = measure_clock()
        arms = [Arm(arm, calls) for arm, calls in copies.items()]
        recording = record(arms, queries, clock, job.phases, job.seed)
        for arm, answers in zip(copies, recording.answers, strict=True):
            if arm in OURS:
                check_answers(arm, models[OURS[arm]], queries, answers)
            else:
                _check_timed(arm, copies[arm][0], queries, answers)
    return {"clock": clock.to_json(), "is_cpu_time_fine": clock.is_cpu_time_fine, **recording_json(recording)}


def _open(job: Job, arm: str, models: Mapping[str, Network], queries: Sequence[NDArray[np.float32]]) -> Call:
    return open_session(clone(models[OURS[arm]]), job, OURS[arm], queries).run


def _limit(job: Job) -> None:
    """End this process after a time, saying on stderr where it was: several runtimes can block each other."""
    faulthandler.dump_traceback_later(job.options["limit_s"], exit=True)


def _contexts(job: Job) -> contextlib.ExitStack:
    """Enter what the runtimes of this job need around all they do."""
    stack = contextlib.ExitStack()
    for name in {peer["runtime"] for peer in job.options["peers"].values()}:
        stack.enter_context(RUNTIMES[name].context())
    return stack


def _peers(job: Job) -> dict[str, Call]:
    return {arm: _load(job, arm) for arm in job.options["peers"]}


def _load(job: Job, arm: str) -> Call:
    peer = job.options["peers"][arm]
    runtime = RUNTIMES[peer["runtime"]]
    network = peer["network"]
    file = job.models[network if runtime.reads == "safetensors" else f"{network}.{runtime.reads}"]
    try:
        return runtime.load(Path(file), job.threads)
    except ThreadsIgnored as error:
        raise WorkerProblem(str(error)) from error


def _check_timed(
    arm: str, call: Call, queries: Sequence[NDArray[np.float32]], answers: Mapping[int, NDArray[Any]]
) -> None:
    """Compare what timed calls of a peer returned with what it answers now, as was compared before; may raise."""
    for number, answer in answers.items():
        again = np.array(call(queries[number]))
        if answer.shape != again.shape or not np.allclose(answer, again, 1e-4, 1e-4 * float(np.abs(again).max())):
            raise AnswersDiffer(f"{arm}: the timed output for query {number} is not what it answers otherwise")


KINDS: dict[str, Callable[[Job], Result]] = {"check": _check, "time": _time}


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # the result is written: the runtimes need not take their threads down, in whatever order
