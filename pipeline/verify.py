"""Run a submission again in a store of its own: build its models from the embedded experiment, and time them.

Nothing of a submission is executed: the experiment names models, steps and data sets of this installation, and was
checked like any other. What a stranger's experiment may take is bounded in time, memory and room. Leaves out what the
results are compared with (`pipeline.submission.verify_compare`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import threadpoolctl

from pipeline.core.errors import EnvironmentProblem, OverMemory, TimedOut, UserError, WorkerLost
from pipeline.core.event import Event, Outcome
from pipeline.core.experiment import Experiment
from pipeline.core.keys import digest_value
from pipeline.core.plan import Plan, RunNodes, make_plan
from pipeline.core.stage import InputArtifact, Inputs
from pipeline.core.subset import ancestors, nodes_of
from pipeline.execute.catalog import make_catalog
from pipeline.execute.decide import Oracle
from pipeline.execute.environment import VARIABLES, numeric_environment
from pipeline.execute.estimate import Estimator
from pipeline.execute.failures import in_words
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import NodeResult
from pipeline.execute.session import Session
from pipeline.measure import machine
from pipeline.run import Watcher
from pipeline.stages import STAGES, submit
from pipeline.store.codecs import codec_named
from pipeline.store.local import LocalStore
from pipeline.store.record import Artifact
from pipeline.submission.candidate import Candidate
from pipeline.submission.evidence import SIDES
from pipeline.submission.gather import gather
from pipeline.submission.verify_compare import UNASKED, Rebuilt
from pipeline.submission.verify_environment import Here
from tinytorch import __version__

__all__ = ["Scope", "rebuild", "scratch_folder", "stated_variables", "time_limit"]

# Failures that say something about this machine or the limits, and nothing about the submission.
_OF_HERE = (EnvironmentProblem, OverMemory, TimedOut, UserError, WorkerLost)
_PLAIN = re.compile(r"[A-Za-z0-9_,]{1,64}")  # a kernel's name or a number
_MOST_REMOVALS = 50  # of a folder that somebody writes to
_MOST_MEASURED = 2  # times: what does not agree at once is measured again before anybody is accused
Comparisons = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Scope:
    """How much is run again: all points or only the submitted one, `chosen`; whether that one is timed.

    `room_bytes` is how much the results may take on disk; `agrees` says of the comparisons of a benchmark whether they
    agree with what is stated: if not, they are made a second time.
    """

    chosen: int
    agrees: Callable[[Comparisons], bool]
    only_submitted: bool = False
    is_measured: bool = True
    room_bytes: int = 8 * 2**30


@dataclass(frozen=True)
class _Work:
    """What a verification works with, the same from its beginning to its end."""

    plan: Plan
    store: LocalStore
    scope: Scope
    limits: Limits
    watch: Watcher
    stop: Stop

    @functools.cached_property
    def chosen(self) -> RunNodes:
        """The nodes of the submitted point."""
        return next(nodes for nodes in self.plan.runs if nodes.run.index == self.scope.chosen)

    @property
    def runs(self) -> Sequence[RunNodes]:
        """The nodes of the points that are built."""
        return [self.chosen] if self.scope.only_submitted else self.plan.runs

    def tell(self, event: Event) -> None:
        """Pass an event on; raises EnvironmentProblem once the results take more room than they may."""
        self.watch(event)
        if event.outcome is Outcome.RAN and (size := _room(self.store.root)) > self.scope.room_bytes:
            raise EnvironmentProblem(
                f"the results of this submission take {size / 2**30:.1f} GiB, more than --room allows",
                hint="allow more, or build only the submitted point with --point-only",
            )


def rebuild(
    experiment: Experiment, scope: Scope, folder: Path, limits: Limits, watch: Watcher, stop: Stop
) -> tuple[Rebuilt, Here]:
    """Run the experiment in `folder`, which is empty; a point that the experiment does not have gives nothing.

    Raises what says that this machine cannot run it, or not within the limits; what else fails is in the result.
    """
    store = LocalStore(folder)
    try:
        oracle = Oracle(store, STAGES)
        plan = make_plan(experiment, make_catalog(oracle.environment))
        code = _code_of(plan, oracle)
        if scope.chosen not in [nodes.run.index for nodes in plan.runs]:
            return Rebuilt({}, {}, {}, {}), Here(machine.facts(), _versions(), code, {})
        work = _Work(plan, store, scope, limits, watch, stop)
        results = _execute(work, oracle, _models(work), beginning=True)
        measured, own, unmeasured = _measured(work, oracle, results)
        versions = own["provenance"]["versions"] if own else _versions()
        here = Here(_machine(own), versions, code, _environment(work, oracle), _reads_times(work))
        return _rebuilt(work, results, measured, own, unmeasured), here
    finally:
        store.close()


def _models(work: _Work) -> set[str]:
    """Return the nodes that give models and answers: of every point, and of the submitted one after each step, too."""
    wanted = {node for nodes in work.runs for node in (nodes.evaluate_baseline, nodes.evaluate_optimized)}
    timed = {node for node in nodes_of(work.chosen) if STAGES[work.plan.node(node).stage].measures}
    return set(ancestors(work.plan, wanted | (nodes_of(work.chosen) - timed)))


def _execute(work: _Work, oracle: Oracle, wanted: set[str], *, beginning: bool = False) -> dict[str, NodeResult]:
    nodes = [node for node in work.plan.nodes if node.id in wanted]
    if beginning:
        work.watch.begin(nodes, Estimator(work.store, oracle.stages), slots=work.limits.workers)
    with Session(oracle, work.tell, work.limits, work.stop) as session:
        session.execute(work.plan, frozenset(wanted))
    for result in session.results.values():
        if isinstance(result.error, _OF_HERE):
            raise result.error
    return session.results


def _measured(
    work: _Work, oracle: Oracle, results: dict[str, NodeResult]
) -> tuple[list[Comparisons], Mapping[str, Any] | None, str]:
    """Time the submitted point, twice if need be.

    Return the comparisons of each benchmark, the submission of the point alone with the last of them, and why there is
    none.
    """
    if not work.scope.is_measured:
        return [], None, UNASKED
    if _lost(work, work.chosen, results):
        return [], None, "there are no models to time"
    wanted = set(ancestors(work.plan, [work.chosen.benchmark]))
    measured: list[Comparisons] = []
    nodes = [work.plan.node(work.chosen.benchmark)]
    for again in range(_MOST_MEASURED):
        work.watch.begin(nodes, Estimator(work.store, oracle.stages), slots=work.limits.workers)
        oracle = Oracle(work.store, STAGES, fresh=True) if again else oracle
        try:
            results |= _execute(work, oracle, wanted)
        except EnvironmentProblem as error:
            return measured, None, error.message
        if failure := results[work.chosen.benchmark].error:
            raise failure
        own = _own_submission(work, results)
        measured.append(own["benchmark"]["comparisons"])
        if work.scope.agrees(measured[-1]):
            break
    return measured, own, ""


def _own_submission(work: _Work, results: Mapping[str, NodeResult]) -> Mapping[str, Any]:
    """Return the submission that is made of the submitted point alone, as a run makes it."""
    node = work.plan.node(work.plan.submit)
    runs = [run for run in node.spec["runs"] if run["index"] == work.scope.chosen]
    built: Mapping[str, Any] = submit.execute({**node.spec, "runs": runs}, _inputs(work, results))["submission"]
    return built


def _inputs(work: _Work, results: Mapping[str, NodeResult]) -> Inputs:
    """Return what the submit stage would be given, as far as it was built."""
    artifacts = {}
    for role, ref in work.plan.node(work.plan.submit).inputs.items():
        record = results[ref.node].record if ref.node in results else None
        if record:
            artifact = record.outputs[ref.role]
            artifacts[role] = InputArtifact(
                artifact.digest, artifact.size, functools.partial(_decoded, work.store, artifact)
            )
    return Inputs(artifacts)


def _decoded(store: LocalStore, artifact: Artifact) -> Any:
    return codec_named(artifact.codec).decode(store.read(artifact.digest))


def _rebuilt(
    work: _Work,
    results: Mapping[str, NodeResult],
    measured: Sequence[Comparisons],
    own: Mapping[str, Any] | None,
    unmeasured: str,
) -> Rebuilt:
    inputs, specs = _inputs(work, results), work.plan.node(work.plan.submit).spec["runs"]
    points: dict[int, Candidate] = {}
    errors: dict[int, str] = {}
    for nodes in work.runs:
        if lost := _lost(work, nodes, results):
            errors[nodes.run.index] = lost
        else:
            points[nodes.run.index] = gather(next(run for run in specs if run["index"] == nodes.run.index), inputs)
    chosen = work.scope.chosen
    if chosen not in points:
        return Rebuilt(points, errors, {}, {})
    answers = {side: inputs[f"predictions.{side}.{chosen}"] for side in SIDES}
    files = {side: work.store.read(inputs.digest(f"{side}.{chosen}")) for side in SIDES}
    return Rebuilt(points, errors, answers, files, measured, unmeasured, own)


def _lost(work: _Work, nodes: RunNodes, results: Mapping[str, NodeResult]) -> str:
    """Return why a point has no models, "" if it has."""
    needed = ancestors(work.plan, [nodes.evaluate_baseline, nodes.evaluate_optimized])
    failed = [results[node.id] for node in work.plan.nodes if node.id in needed and not results[node.id].record]
    if not failed:
        return ""
    first = next((result for result in failed if result.error), failed[0])
    return f"{first.node.label}: {in_words(first.error) if first.error else first.reason}"


def _code_of(plan: Plan, oracle: Oracle) -> dict[str, str]:
    """Return stage -> digest of the code of all its nodes, as a run states it."""
    stages: dict[str, set[str]] = {}
    for node in plan.nodes:
        stages.setdefault(node.stage, set()).add(oracle.environment.code.digest(node))
    return {stage: digest_value(sorted(codes)) for stage, codes in stages.items()}


def _environment(work: _Work, oracle: Oracle) -> dict[str, str]:
    """Return what the bits of the submitted point depend on here, as a run states it."""
    chosen = work.chosen
    nodes = (chosen.train, *chosen.steps, chosen.evaluate_baseline, chosen.evaluate_optimized)
    found: dict[str, str] = {}
    for node in map(work.plan.node, nodes):
        found |= oracle.environment.of(node, STAGES[node.stage])
    return found


def _reads_times(work: _Work) -> bool:
    """Tell whether the result of a step of the submitted point depends on a measurement."""
    needed = ancestors(work.plan, work.chosen.steps)
    return any(STAGES[work.plan.node(node).stage].measures for node in needed)


def _machine(own: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the facts of this machine, with its BLAS: of the process that timed, or of this one."""
    if own:
        machine_of_run: Mapping[str, Any] = own["machine"]
        return machine_of_run
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    blas = [f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip() for pool in pools]
    return {**machine.facts(), "blas": blas}


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "package": __version__,
    }


def _room(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


@contextlib.contextmanager
def stated_variables(stated: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that choose numeric kernels as a submission's environment has them, for processes to come.

    Only on the instruction sets that it states, since others may lack what they choose; else they are left as they are.
    """
    simd = ",".join(machine.flags() or ["unknown"])
    if stated.get("simd") != simd:
        yield
        return
    former = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    os.environ |= {name: stated[name] for name in VARIABLES if _PLAIN.fullmatch(stated.get(name, ""))}
    numeric_environment.cache_clear()
    try:
        yield
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ |= former
        numeric_environment.cache_clear()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder in which everything takes place, temporary files of other processes too, and remove it afterwards.

    A process that was killed a moment ago may still write: what is left then is removed again.
    """
    former, folder = os.environ.get("TMPDIR"), Path(tempfile.gettempdir(), f"verify-{os.urandom(8).hex()}")
    try:  # from here on: an interruption may come as soon as there is a folder
        folder.mkdir(mode=0o700)
        temporary = folder / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)
        yield folder
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # the time limit must not end this
        os.environ.pop("TMPDIR", None)
        if former is not None:
            os.environ["TMPDIR"] = former
        for _ in range(_MOST_REMOVALS):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.02)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimedOut in the middle of whatever is done after so many seconds, and KeyboardInterrupt upon SIGTERM.

    Both let what is inside clean up. Outside of the main thread, which alone may handle signals, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise TimedOut(
            f"running it again took longer than the {seconds:g} s of --timeout",
            hint="allow more, or build only the submitted point with --point-only",
        )

    def on_end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, on_alarm), signal.signal(signal.SIGTERM, on_end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former[0])
        signal.signal(signal.SIGTERM, former[1])
