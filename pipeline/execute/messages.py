"""What a worker process is told, and what it answers. Imports nothing heavy: the parent reads it, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.event import Outcome
from pipeline.core.stage import StageInfo
from pipeline.own.source import OwnSource
from pipeline.store.local import LocalStore
from pipeline.store.record import Record

__all__ = ["Began", "Failed", "Finished", "Ready", "Said", "Setup"]


@dataclass(frozen=True)
class Setup:
    """What a worker is told first: the store (it is opened again), the table of stages, and what it may allocate.

    `own` is the code of the user's own that the command was told of: the worker takes it in by the same names.
    `threads` is how many cores are its share.
    """

    store: LocalStore
    stages: Mapping[str, StageInfo]
    memory_limit_bytes: int | None = None
    own: tuple[OwnSource, ...] = ()
    threads: int = 1


@dataclass(frozen=True)
class Ready:
    """The worker waits for a task."""


@dataclass(frozen=True)
class Began:
    """The stage begins to work: nobody else has to be waited for any more."""


@dataclass(frozen=True)
class Said:
    """The stage has something to tell the person who waits."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The task's record is committed."""

    record: Record
    outcome: Outcome


@dataclass(frozen=True)
class Failed:
    """The task raised this; a traceback does not cross the boundary, so its text does."""

    error: Exception
    trace: str
