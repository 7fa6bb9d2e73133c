"""Where and when a measurement takes place: time, machine with its libraries, cores. Parent's side."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.measure import machine

__all__ = ["check_threads", "measured_machine", "timestamp"]


def check_threads(threads: Sequence[int], key: str = "benchmark.threads") -> None:
    """Raise EnvironmentProblem if more threads are asked for, by a key of the file, than this process may use cores."""
    allowed = machine.facts()["cores"]["allowed"]
    if max(threads) > allowed:
        cores = f"{allowed} core{'s' if allowed > 1 else ''}"
        raise EnvironmentProblem(
            f"{key} asks for {max(threads)} threads, but this process may use {cores}",
            hint="ask for fewer threads: several threads on one core measure the scheduler",
        )


def measured_machine(process: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the machine with the libraries that a worker process reported."""
    conditions = process["conditions"]
    return {**machine.facts(), **{name: conditions[name] for name in ("python", "numpy", "blas")}}


def timestamp() -> str:
    """Return the time now, in UTC, as 2026-01-31T12:00:00Z."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
