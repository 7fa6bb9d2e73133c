"""Decide how many processes a comparison needs, and run them one after the other. Parent's side.

Every process that ran counts: adding processes never throws away earlier ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.measure.job import ARMS, Job, Phases
from pipeline.measure.launch import run_worker
from pipeline.measure.quantities import nothing_offered
from pipeline.measure.quiet import Patience, Place, idlest
from pipeline.measure.summary import Question, speedup_and_control, unsettled

__all__ = ["Collected", "Material", "collect", "wants_more"]

_PHASES = Phases()
_LEAST = 3  # processes, even beyond the budget: fewer give no interval worth reading
_FIRST = ("baseline", "optimized", "control", "optimized")  # whose first call is cold, by process, in turn


@dataclass(frozen=True)
class Material:
    """The files of a comparison: a stored model for each arm and the queries; `folder` takes jobs and results."""

    baseline: Path
    optimized: Path
    queries: Path
    folder: Path

    def model(self, arm: str) -> str:
        """Return the file of an arm; the control is a second copy of the baseline."""
        return str(self.optimized if arm == "optimized" else self.baseline)


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
    processes: list[Mapping[str, Any]] = []
    busy: list[float | None] = []
    while True:
        place = patience.place(question.threads)
        processes.append(_run(question, material, "compare", ARMS, len(processes), limit_s, place, phases))
        busy.append(place.busy if place else None)
        elapsed_s = time.monotonic() - began - patience.waited_s
        if not wants_more(question, processes, elapsed_s + (elapsed_s - prepared_s) / len(processes)):
            return Collected(tuple(processes), tuple(busy), memory, quantities, patience.waited_s)


def _quantities(question: Question, material: Material, limit_s: float) -> Mapping[str, Mapping[str, Any]]:
    """Return what is known of each arm besides time; a process is started only if the machine offers anything."""
    nothing = nothing_offered(question.threads)
    if nothing is not None:
        return dict.fromkeys(ARMS, nothing)
    found = _run(question, material, "quantities", ARMS, 0, limit_s, idlest(question.threads))
    arms: Mapping[str, Mapping[str, Any]] = found["arms"]
    return arms


def wants_more(question: Question, processes: Sequence[Mapping[str, Any]], expected_s: float) -> bool:
    """Say whether another process is wanted: the first few in any case, the others only if the budget allows them.

    `expected_s` is the time that will have passed after another one. Three come first (fewer if fewer are asked for,
    but two); then as many as asked for; then more until the control is settled and the interval is at most the target,
    twice in a row: intervals that stop where they first happen to be narrow miss the truth too often (simulated: in
    8 % of comparisons instead of 5 %, so in 6 %).
    """
    count = len(processes)
    if count < max(2, min(_LEAST, question.processes)):
        return True
    if expected_s > question.budget_s:
        return False
    if count < question.processes:
        return True
    return not (_is_answered(question, processes) and (count == 2 or _is_answered(question, processes[:-1])))


def _is_answered(question: Question, processes: Sequence[Mapping[str, Any]]) -> bool:
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
    job = Job(
        kind=kind,
        models={arm: material.model(arm) for arm in arms},
        inputs=str(material.queries),
        result=str(material.folder / f"{kind}-{'-'.join(arms)}-{number}.json"),
        threads=question.threads,
        seed=question.seed * 1_000 + number,
        first=_FIRST[number % len(_FIRST)],
        cores=place.cores if place else None,
        phases=phases,
    )
    return run_worker(job, limit_s)
