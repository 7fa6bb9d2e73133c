"""Decide how many processes a comparison needs, and run them one after the other. Parent's side.

Every process that ran counts: adding processes never throws away earlier ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.measure.gauge import idlest
from pipeline.measure.job import ARMS, Job, Phases
from pipeline.measure.launch import run_worker
from pipeline.measure.summary import Question, speedup_and_control, unsettled

__all__ = ["Collected", "Material", "collect", "wants_more"]

_PHASES = Phases()
_LEAST = 3  # processes, even beyond the budget: fewer give no interval worth reading


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
    """What the processes of one comparison returned; `busy` is the share that others had of the core before each."""

    processes: tuple[Mapping[str, Any], ...]
    busy: tuple[float | None, ...]
    memory: Mapping[str, Mapping[str, Any]]


def collect(question: Question, material: Material, phases: Phases = _PHASES) -> Collected:
    """Run worker processes until the question is answered precisely enough or its budget is spent.

    Raises WorkerFailed if one dies; nothing is kept then.
    """
    began = time.monotonic()
    memory = {arm: _run(question, material, "memory", (arm,), 0)[0] for arm in ("baseline", "optimized")}
    processes: list[Mapping[str, Any]] = []
    busy: list[float | None] = []
    while True:
        loops = processes[0]["loops"] if processes else None
        result, share = _run(question, material, "compare", ARMS, len(processes), loops, phases)
        processes.append(result)
        busy.append(share)
        if not wants_more(question, processes, time.monotonic() - began):
            return Collected(tuple(processes), tuple(busy), memory)


def wants_more(question: Question, processes: Sequence[Mapping[str, Any]], elapsed_s: float) -> bool:
    """Say whether another process is wanted: the first few in any case, the others only if the budget allows them.

    Three come first (fewer if fewer are asked for, but two); then as many as asked for; then more until the interval is
    at most the target and the control is settled.
    """
    count = len(processes)
    if count < max(2, min(_LEAST, question.processes)):
        return True
    if elapsed_s * (count + 1) / count > question.budget_s:
        return False
    if count < question.processes:
        return True
    speedup, control = speedup_and_control(question, processes)
    return unsettled(control, question.threshold) or speedup.half_width > question.target_ci


def _run(
    question: Question,
    material: Material,
    kind: str,
    arms: Sequence[str],
    number: int,
    loops: int | None = None,
    phases: Phases = _PHASES,
) -> tuple[Mapping[str, Any], float | None]:
    place = idlest(question.threads)
    job = Job(
        kind=kind,
        models={arm: material.model(arm) for arm in arms},
        inputs=str(material.queries),
        result=str(material.folder / f"{kind}-{'-'.join(arms)}-{number}.json"),
        threads=question.threads,
        seed=question.seed * 1_000 + number,
        cores=place[0] if place else None,
        loops=loops,
        phases=phases,
    )
    # generous: it only ends what hangs
    return run_worker(job, timeout_s=120 + 2 * question.budget_s), place[1] if place else None
