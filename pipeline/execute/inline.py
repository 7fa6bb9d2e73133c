"""The inline executor: computes a node in this process and on this thread, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from pipeline.core.event import Outcome
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.perform import perform
from pipeline.execute.task import Task
from pipeline.execute.threads import cores
from pipeline.store.record import Record

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Computes when it is asked, and returns futures that are done."""

    slots = 1
    is_one_machine = True

    def __init__(self, oracle: Oracle, limits: Limits) -> None:
        self._oracle = oracle

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        """Compute the task; KeyboardInterrupt and other ends of the process pass through."""
        future: Future[tuple[Record, Outcome]] = Future()
        try:
            future.set_result(perform(task, self._oracle, say, threads=cores()))
        except Exception as error:  # whatever a stage raises belongs to its node
            if isinstance(error.__cause__, KeyboardInterrupt):  # in making a class: Python 3.11 calls that an error
                raise error.__cause__ from None
            future.set_exception(error)
        return future

    def close(self, *, now: bool) -> None:
        """Nothing is left open."""
