"""The `processes` executor: nodes in worker processes on this machine, which are started when needed and reused.

A worker computes one node at a time. One that took too long or too much memory, or that died, is replaced. Nothing
here imports numpy: the process that schedules stays small however many workers it has.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from pipeline.core.errors import WorkerLost
from pipeline.core.event import Outcome
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.messages import Setup
from pipeline.execute.task import Task
from pipeline.execute.threads import cores
from pipeline.execute.worker_process import WorkerProcess
from pipeline.own.source import sources
from pipeline.store.record import Record

__all__ = ["ProcessExecutor"]

_Order = tuple[Task, Callable[[str], None], Future[tuple[Record, Outcome]]]


class ProcessExecutor:
    """As many worker processes as the limits allow; the one that worked last is asked first, since it is warm."""

    is_one_machine = True

    def __init__(self, oracle: Oracle, limits: Limits) -> None:
        self.slots = limits.workers
        share = max(1, cores() // limits.workers)
        self._setup = pickle.dumps(Setup(oracle.store, oracle.stages, limits.memory_limit_bytes, sources(), share))
        self._timeout_s = limits.timeout_s
        self._seats: list[_Seat] = []
        self._idle: list[_Seat] = []

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        """Hand the task to an idle worker."""
        if not self._idle:
            self._idle.append(_Seat(self._setup, self._timeout_s, self._idle.append))
            self._seats.append(self._idle[-1])
        future: Future[tuple[Record, Outcome]] = Future()
        self._idle.pop().take((task, say, future))
        return future

    def close(self, *, now: bool) -> None:
        """End all workers, in the middle of their work if `now`."""
        for seat in self._seats:
            seat.leave(now=now)
        for seat in self._seats:
            seat.join()


class _Seat:
    """A thread that keeps one worker process busy, and starts another when it needs one."""

    def __init__(self, setup: bytes, timeout_s: float | None, release: Callable[[_Seat], None]) -> None:
        self._setup = setup
        self._timeout_s = timeout_s
        self._release = release
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()  # around the worker's birth and death
        self._is_leaving = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def take(self, order: _Order) -> None:
        self._orders.put(order)

    def leave(self, *, now: bool) -> None:
        with self._lock:
            self._is_leaving = True
            if now and self._worker:
                self._worker.kill()
        self._orders.put(None)

    def join(self) -> None:
        self._thread.join()

    def _work(self) -> None:
        while order := self._orders.get():
            task, say, future = order
            try:
                result = self._ready_worker().compute(task, say, self._timeout_s)
            except Exception as error:  # whatever a stage raised belongs to its node
                if self._worker and not self._worker.is_usable:
                    self._dismiss()
                self._release(self)
                future.set_exception(error)
            else:
                self._release(self)
                future.set_result(result)
        self._dismiss()

    def _ready_worker(self) -> WorkerProcess:
        with self._lock:
            if self._is_leaving:
                raise WorkerLost("the run is ending")
            if self._worker is None:
                self._worker = WorkerProcess(self._setup)
            return self._worker

    def _dismiss(self) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker:
            worker.close()
