"""What the scheduler asks of an executor, and the table of executors.

An executor's module is imported when the first node has to run: it may import numpy, a fully cached run needs none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pipeline.core.event import Outcome
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.task import Task
from pipeline.store.record import Record

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["EXECUTORS", "Executor", "MakeExecutor", "make_executor"]

# name -> module:Class; the class is called with an Oracle and Limits
EXECUTORS = {
    "dask": "pipeline.execute.dask_executor:DaskExecutor",
    "inline": "pipeline.execute.inline:InlineExecutor",
    "processes": "pipeline.execute.processes:ProcessExecutor",
}


class Executor(Protocol):
    """Computes tasks and commits their records.

    `slots` is how many tasks may be in flight. Where all of them run on this machine (`is_one_machine`), the scheduler
    sees to it that a node that measures runs alone; elsewhere the executor does.
    """

    @property
    def slots(self) -> int:
        """Return how many tasks may be in flight, at least 1."""

    @property
    def is_one_machine(self) -> bool:
        """Return whether all tasks run on this machine."""

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        """Return a future of the committed record, and of CACHED if another process made it meanwhile, else RAN.

        What the stage raises is the future's exception, with the traceback of another process as its cause; a process
        that died is WorkerLost. `say` is handed to the stage and may be called by any thread until the future is done.
        """

    def close(self, *, now: bool) -> None:
        """Give up all processes; `now` does not wait for what still runs."""


MakeExecutor = Callable[[Oracle, Limits], Executor]


def make_executor(oracle: Oracle, limits: Limits) -> Executor:
    """Import and make the executor that the limits name; raises KeyError for a name that is not in the table."""
    module, _, attribute = EXECUTORS[limits.executor].partition(":")
    executor: Executor = getattr(importlib.import_module(module), attribute)(oracle, limits)
    return executor
