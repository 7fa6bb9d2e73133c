"""The framework stage: do one piece of work here and in PyTorch, in turns, in fresh processes.

The first process compares the outputs and measures what the machine can do at best; what differs is not timed. What is
computed is made in the workers from the op, its arguments and the seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.core.stage import Inputs
from pipeline.measure import framework_worker
from pipeline.measure.framework_record import difference, is_answered, record
from pipeline.measure.job import Job, Phases, choices_of
from pipeline.measure.launch import run_worker
from pipeline.measure.peer_summary import raw_samples
from pipeline.measure.quiet import Patience, Place, idlest
from pipeline.measure.sampling import repeat
from pipeline.measure.setting import check_threads, measured_machine, timestamp
from pipeline.measure.summary import Question

__all__ = ["PROTOCOL", "execute"]

PROTOCOL = "paired-clean/1"

_PHASES = Phases(warmup_s=0.5, service_s=0.8, latency_s=0.0)
_MISSING = 'torch is not installed: pip install "tinytorch-pipeline[peers]"'


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the record of one piece of work and every raw sample.

    Raises EnvironmentProblem for more threads than cores, WorkerFailed if a worker process dies.
    """
    check_threads([spec["threads"]], "frameworks.threads")
    measured_at = timestamp()
    question = Question.of(spec, "single_stream", spec["args"].get("batch_size", 1), spec["threads"])
    patience = Patience(spec["wait_s"], inputs.say)
    kind = _kind(spec)
    with tempfile.TemporaryDirectory(prefix="framework-") as name:
        session = _Session(spec, question, Path(name))
        checked = session.check()
        if spec["torch"] is None:
            checked["reason"] = _MISSING
        elif checked["outputs"] is not None:
            checked["reason"] = difference(checked["outputs"], kind)
        is_timed = checked["reason"] is None
        session = replace(session, choices={n: choices_of(one) for n, one in checked["sessions"].items()})
        processes, busy = repeat(
            question,
            lambda number, place: session.time(is_timed, number, place),
            lambda found: is_answered(question, is_timed, found),
            patience,
        )
    found = record(question, checked, kind, processes, busy, patience.waited_s)
    machine = measured_machine(processes[0])
    head = {"protocol": PROTOCOL, "measured_at": measured_at, "machine": machine, "precision": _precision(spec)}
    return {"row": {**head, **found}, "samples": raw_samples(processes)}


def _precision(spec: Mapping[str, Any]) -> str:
    return "int8" if spec["args"].get("bits") == 8 else "fp32"


def _kind(spec: Mapping[str, Any]) -> str:
    return "training" if spec["op"].startswith("train_") else _precision(spec)


@dataclass(frozen=True)
class _Session:
    """The jobs of one execution; `choices` are the kernels of our layers, the same ones in all processes."""

    spec: Mapping[str, Any]
    question: Question
    folder: Path
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def check(self) -> dict[str, Any]:
        """Return what the first process found, in which nothing is timed against anything."""
        return self._run("check", 0, idlest(self.question.threads), is_timed=False)

    def time(self, is_timed: bool, number: int, place: Place | None) -> Mapping[str, Any]:
        """Return what process number `number` read, of the peer too where `is_timed`."""
        return self._run("time", number, place, is_timed=is_timed)

    def _run(self, kind: str, number: int, place: Place | None, *, is_timed: bool) -> dict[str, Any]:
        limit_s = 180 + 5 * self.question.budget_s  # generous: it only ends what hangs
        job = Job(
            kind=kind,
            models={},
            inputs="",
            result=str(self.folder / f"{kind}-{number}.json"),
            threads=self.question.threads,
            seed=self.question.seed * 1_000 + number,
            choices=self.choices,
            cores=place.cores if place else None,
            phases=_PHASES,
            options={
                "op": self.spec["op"],
                "args": self.spec["args"],
                "seed": self.question.seed,
                "torch": self.spec["torch"] is not None and (kind == "check" or is_timed),
                "timed": is_timed,
                "limit_s": limit_s,
            },
        )
        return run_worker(job, limit_s + 10, framework_worker)
