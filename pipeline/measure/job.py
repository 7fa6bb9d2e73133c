"""The job: what the parent asks of a worker process, as one JSON file. Standard library only; read by both sides."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ARMS", "Job", "Phases", "choices_of"]

# The control is a second copy of the baseline: what the protocol says of identical code.
ARMS = ("baseline", "optimized", "control")


@dataclass(frozen=True)
class Phases:
    """How long a worker spends on each phase, in seconds.

    Six processes of about a second each decide more than one long one, because identical code differs between
    processes; within a process some hundred pairs are plenty. Phases end at a whole cycle of orders.
    """

    warmup_s: float = 0.25  # at most; ends when steady
    service_s: float = 0.35  # the interleaved pairs
    latency_s: float = 0.10  # single queries, for the tail; none where samples are single queries, and enough
    tail_least: int = 0  # single queries of each arm that are enough


@dataclass(frozen=True)
class Job:
    """One worker process: `models` names a file for each arm, `inputs` a .npy file (queries, batch, *input_shape).

    A call takes at most `batch_size` samples of a query (None: all). `first` names the arm that makes the process's
    first call. `choices` are the kernels of an arm's layers, by their names; without them the usual ones are taken.
    `cores` is where to pin (None where the system cannot).
    `options` are JSON values that only jobs of this `kind` have.
    """

    kind: str
    models: Mapping[str, str]
    inputs: str
    result: str
    threads: int
    seed: int
    batch_size: int | None = None
    first: str = ARMS[0]
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cores: tuple[int, ...] | None = None
    phases: Phases = Phases()
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job that `write` wrote."""
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cores = None if fields["cores"] is None else tuple(fields["cores"])
        return cls(**{**fields, "cores": cores, "phases": Phases(**fields["phases"])})


def choices_of(session: Mapping[str, Any]) -> dict[str, str]:
    """Return the kernel of each layer by its name, given the record of a session (see `planned`)."""
    return {layer["name"]: layer["computed_by"] for layer in session["layers"]}
