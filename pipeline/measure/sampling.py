"""Decide how many processes a comparison needs, and run them one after the other. Parent's side.

Every process that ran counts: adding processes never throws away earlier ones.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.measure.job import ARMS, Job, Phases, choices_of
from pipeline.measure.launch import run_worker
from pipeline.measure.quantities import nothing_offered
from pipeline.measure.quiet import Patience, Place, idlest
from pipeline.measure.serving import options
from pipeline.measure.summary import Question, speedup_and_control, unsettled

__all__ = [
    "Collected",
    "FIRST",
    "Material",
    "collect",
    "is_precise",
    "plan_sessions",
    "repeat",
    "slowest_call_ns",
    "wants_more",
]

Processes = Sequence[Mapping[str, Any]]

_PHASES = Phases()
_LEAST = 3  # processes, even beyond the budget: fewer give no interval worth reading
FIRST = ("baseline", "optimized", "control", "optimized")  # whose first call is cold, by process, in turn


@dataclass(frozen=True)
class Material:
    """The files of a comparison: a stored model for each arm and the queries; `folder` takes jobs and results.

    `sessions` are the records of the sessions in which baseline and optimized run; without them layers have the usual
    kernels. The control is a second copy of the baseline.
    """

    baseline: Path
    optimized: Path
    queries: Path
    folder: Path
    sessions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def model(self, arm: str) -> str:
        """Return the file of an arm."""
        return str(self.optimized if arm == "optimized" else self.baseline)

    def choices(self, arm: str) -> dict[str, str]:
        """Return the kernels of an arm's layers."""
        record = self.sessions.get("optimized" if arm == "optimized" else "baseline")
        return choices_of(record) if record else {}

    def job(self, question: Question, kind: str, arms: Sequence[str], number: int, place: Place | None) -> Job:
        """Return the job of process `number` of a kind; which arm is first goes by the number."""
        return Job(
            kind=kind,
            models={arm: self.model(arm) for arm in arms},
            inputs=str(self.queries),
            result=str(self.folder / f"{kind}-{'-'.join(arms)}-{number}.json"),
            threads=question.threads,
            seed=question.seed * 1_000 + number,
            batch_size=question.call_size,
            first=FIRST[number % len(FIRST)],
            choices={arm: self.choices(arm) for arm in arms},
            cores=place.cores if place else None,
        )


@dataclass(frozen=True)
class Collected:
    """What the processes of one comparison returned; `busy` is the share that others had of the core before each.

    `waited_s` is what was waited for quiet moments in all.
    """

    processes: tuple[Mapping[str, Any], ...]
    busy: tuple[float | None, ...]
    memory: Mapping[str, Mapping[str, Any]]
    quantities: Mapping[str, Mapping[str, Any]]
    waited_s: float = 0.0


def collect(
    question: Question, material: Material, phases: Phases = _PHASES, patience: Patience | None = None
) -> Collected:
    """Run worker processes until the question is answered precisely enough or its budget is spent.

    Before each of them `patience` finds a quiet core (default: without waiting); what it waits is not of the budget.
    Raises WorkerFailed if a process dies; nothing is kept then.
    """
    patience = patience or Patience(0, lambda text: None)
    began = time.monotonic()
    limit_s = 120 + 2 * question.budget_s  # generous: it only ends what hangs
    memory = {
        arm: _run(question, material, "memory", (arm,), 0, limit_s, idlest(question.threads))
        for arm in ("baseline", "optimized")
    }
    quantities = _quantities(question, material, limit_s)
    prepared_s = time.monotonic() - began
    limit_s += 60 * prepared_s  # of six calls; a comparison makes at least five times as many
    kind = "server" if question.is_server else "compare"

    def compare(number: int, place: Place | None) -> Mapping[str, Any]:
        return _run(question, material, kind, ARMS, number, limit_s, place, phases)

    processes, busy = repeat(question, compare, functools.partial(is_precise, question), patience, prepared_s)
    return Collected(processes, busy, memory, quantities, patience.waited_s)


def repeat(
    question: Question,
    run: Callable[[int, Place | None], Mapping[str, Any]],
    is_answered: Callable[[Processes], bool],
    patience: Patience,
    spent_s: float = 0.0,
) -> tuple[tuple[Mapping[str, Any], ...], tuple[float | None, ...]]:
    """Run processes by number and place as long as `wants_more`; return their results and how busy each place was.

    `spent_s` of the budget are gone already; what `patience` waits is not of the budget.
    """
    began, had_waited_s = time.monotonic(), patience.waited_s
    processes: list[Mapping[str, Any]] = []
    busy: list[float | None] = []
    while True:
        place = patience.place(question.threads)
        processes.append(run(len(processes), place))
        busy.append(place.busy if place else None)
        running_s = time.monotonic() - began - (patience.waited_s - had_waited_s)
        expected_s = spent_s + running_s + running_s / len(processes)
        if not wants_more(question, processes, expected_s, is_answered):
            return tuple(processes), tuple(busy)


def _quantities(question: Question, material: Material, limit_s: float) -> Mapping[str, Mapping[str, Any]]:
    """Return what is known of each arm besides time; a process is started only if the machine offers anything."""
    nothing = nothing_offered(question.threads)
    if nothing is not None:
        return dict.fromkeys(ARMS, nothing)
    found = _run(question, material, "quantities", ARMS, 0, limit_s, idlest(question.threads))
    arms: Mapping[str, Mapping[str, Any]] = found["arms"]
    return arms


def plan_sessions(question: Question, material: Material) -> dict[str, Mapping[str, Any]]:
    """Return the records of the sessions in which both models will run, their kernels chosen in one process.

    All processes that are timed take these, so that they time the same code.
    """
    limit_s = 120 + 2 * question.budget_s
    found = _run(question, material, "plan", ("baseline", "optimized"), 0, limit_s, idlest(question.threads))
    sessions: dict[str, Mapping[str, Any]] = found["sessions"]
    return sessions


def slowest_call_ns(question: Question, material: Material) -> float:
    """Return the time of a call of the slower model, by the fastest of a few: enough to choose how many to time."""
    limit_s = 120 + 2 * question.budget_s
    found = _run(question, material, "probe", ("baseline", "optimized"), 0, limit_s, idlest(question.threads))
    return float(max(found["call_ns"].values()))


def wants_more(
    question: Question,
    processes: Processes,
    expected_s: float,
    is_answered: Callable[[Processes], bool] | None = None,
) -> bool:
    """Say whether another process is wanted: the first few in any case, the others only if the budget allows them.

    `expected_s` is the time that will have passed after another one. Three come first (fewer if fewer are asked for,
    but two); then as many as asked for; then more until the control is settled and the interval is at most the target,
    twice in a row: intervals that stop where they first happen to be narrow miss the truth too often (simulated: in
    8 % of comparisons instead of 5 %, so in 6 %). `is_answered` None asks for speed-up and control of the two models.
    """
    count = len(processes)
    if count < max(2, min(_LEAST, question.processes)):
        return True
    if expected_s > question.budget_s:
        return False
    if count < question.processes:
        return True
    answered = is_answered or functools.partial(is_precise, question)
    return not (answered(processes) and (count == 2 or answered(processes[:-1])))


def is_precise(question: Question, processes: Processes) -> bool:
    """Say whether the speed-up is as precise as was asked for, and identical code did not differ in earnest."""
    speedup, control = speedup_and_control(question, processes)
    return speedup.half_width <= question.target_ci and not unsettled(control, question.threshold)


def _run(
    question: Question,
    material: Material,
    kind: str,
    arms: Sequence[str],
    number: int,
    limit_s: float,
    place: Place | None,
    phases: Phases = _PHASES,
) -> Mapping[str, Any]:
    job = material.job(question, kind, arms, number, place)
    own = _options(question) if kind == "server" else {}
    return run_worker(replace(job, phases=phases, options=own), limit_s)


def _options(question: Question) -> dict[str, Any]:
    limit_ms = question.latency_limit_ms
    return {} if limit_ms is None else options(limit_ms, question.rate_per_s, question.budget_s, question.processes)
