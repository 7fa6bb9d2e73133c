"""The `dask` executor: nodes on a cluster of machines, or on one started here (extra `dask`).

Every Dask worker is started with as much of the resource `core` as it has cores (`--resources core=8`), one worker on a
machine: a node takes one of them, and a node that measures takes all, so that nothing else of ours runs beside it. It
goes only to machines with this one's fingerprint, which is part of its key. Only records come back; artifacts go
through the store. What a worker was computing when it was lost is computed again elsewhere, by Dask, which gives up on
a node that was lost with several workers.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import EnvironmentProblem, StageFailed, WorkerLost
from pipeline.core.event import Outcome
from pipeline.execute import dask_node
from pipeline.execute.dask_cluster import Cluster
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.messages import Failed, Finished
from pipeline.execute.task import Task
from pipeline.execute.worker_process import RemoteTraceback
from pipeline.measure import machine
from pipeline.store.record import Record

__all__ = ["DaskExecutor"]

_WINDOW = 2  # tasks in flight for each core: the next one lies ready when one ends
_FRESH_S = 2.0  # how long what is known of the workers is believed; they send a heartbeat twice a second
_ANSWER_S = 10  # for a scheduler to answer
_ARRIVAL_S = 60  # for a first worker to join
_WATCH_S = 15.0  # how often it is looked whether a node waits for a worker that is gone
_START_HINT = "start one on each machine: dask worker {address} --nworkers 1 --resources core=<cores>"


@dataclass(frozen=True)
class _Worker:
    """A Dask worker: where its machine is, and how many cores it offers."""

    address: str
    host: str
    cores: int


class _Call:
    """A call that is made where this is unpickled.

    Dask is given no function of ours to send: where a worker lacks this package, or has another version, reading the
    function breaks its connection to the scheduler for good. A call of `pickle.loads` fails there like any other.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._reduced = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Become the call."""
        return self._reduced


class DaskExecutor:
    """A client of the scheduler at `limits.scheduler`, or of a cluster of its own with `limits.workers` cores.

    Raises EnvironmentProblem when Dask is not installed, nobody answers, or no worker offers the resource `core`.
    """

    def __init__(self, oracle: Oracle, limits: Limits) -> None:
        self._stages = oracle.stages
        self._run = f"pipeline-{os.urandom(8).hex()}"
        site = dask_node.site_of(self._run, oracle.store, oracle.stages, limits.memory_limit_bytes, limits.timeout_s)
        self._site = pickle.dumps(site)
        self._numbers = itertools.count()
        self._listeners: dict[str, Callable[[str], None]] = {}
        self._waiting_for: dict[str, list[str]] = {}  # a measurement's key -> the machines that may take it
        self._is_closed = threading.Event()
        self._fingerprints: dict[str, str] = {}
        self._known: tuple[_Worker, ...] = ()
        self._known_at = -_FRESH_S
        self._are_without_cores = False
        _check_installed()
        self._cluster = None if limits.scheduler else Cluster(limits.workers)
        try:
            self._address = limits.scheduler or self._own_address
            self._client = _connect(self._address)
            with self._speaking():
                self._client.subscribe_topic(self._run, self._hear)
                self._await_workers()
            threading.Thread(target=self._watch, daemon=True).start()
        except BaseException:
            self.close(now=True)
            raise

    @property
    def slots(self) -> int:
        """Return how many tasks may be in flight: twice the cores of all workers."""
        return max(_WINDOW * sum(worker.cores for worker in self._workers()), 1)

    @property
    def is_one_machine(self) -> bool:
        """Return whether all workers are on one machine: then no resource of one keeps the others quiet."""
        return len({worker.host for worker in self._workers()}) <= 1

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        """Hand the task to the cluster."""
        future: Future[tuple[Record, Outcome]] = Future()
        self._listeners[task.key] = say
        name = f"{task.node.stage}-{task.key[:12]}-{next(self._numbers)}-{self._run}"
        try:
            with self._speaking():
                place = self._place(task)
                call = _Call(dask_node.compute, self._site, pickle.dumps(task))
                there = self._client.submit(pickle.loads, pickle.dumps(call), key=name, pure=False, retries=0, **place)
        except EnvironmentProblem as error:
            self._listeners.pop(task.key, None)
            future.set_exception(error)
            return future
        there.add_done_callback(lambda done: self._finish(task.key, done, future))
        return future

    def close(self, *, now: bool) -> None:
        """End the processes of this run on all workers, and the cluster if it is our own."""
        self._is_closed.set()
        if client := self.__dict__.get("_client"):
            with contextlib.suppress(Exception):  # a cluster that is gone has nothing left of this run
                client.run(pickle.loads, pickle.dumps(_Call(dask_node.end_run, self._run)), on_error="ignore")
            with contextlib.suppress(Exception):
                client.close(timeout=2)
        if self._cluster:
            self._cluster.close()

    @property
    def _own_address(self) -> str:
        return self._cluster.address if self._cluster else ""

    def _place(self, task: Task) -> dict[str, Any]:
        """Return what Dask is told of where the task may run."""
        if not self._stages[task.node.stage].measures:
            return {"resources": {"core": 1}}
        hosts, cores = self._quiet_hosts()
        self._waiting_for[task.key] = hosts
        return {"resources": {"core": cores}, "workers": hosts, "allow_other_workers": False}

    def _quiet_hosts(self) -> tuple[list[str], int]:
        """Return the machines that may measure, and the cores that a measurement takes there: all.

        Machines that offer the same number of cores are taken, the largest of such groups.
        """
        workers = self._workers()
        alike = [worker for worker in workers if self._fingerprint(worker) == machine.fingerprint()]
        per_host = Counter(worker.host for worker in workers)
        alone = [worker for worker in alike if per_host[worker.host] == 1 or self.is_one_machine]
        if not alone:
            shared = "; workers that share a machine cannot keep each other quiet" if alike else ""
            raise EnvironmentProblem(
                f"no Dask worker is on a machine like this one, whose timings were asked for{shared}",
                hint=f"{_START_HINT.format(address=self._address)}, also on this one",
            )
        (cores, _), *_ = Counter(worker.cores for worker in alone).most_common(1)
        return sorted({worker.host for worker in alone if worker.cores == cores}), cores

    def _fingerprint(self, worker: _Worker) -> str:
        if worker.address not in self._fingerprints:
            call = pickle.dumps(_Call(dask_node.describe))
            self._fingerprints |= self._client.run(pickle.loads, call, on_error="ignore")
        return self._fingerprints.get(worker.address, "")

    def _workers(self) -> tuple[_Worker, ...]:
        """Return the workers that offer cores; asked anew every two seconds."""
        if time.monotonic() - self._known_at > _FRESH_S:
            with self._speaking():
                found = self._client.scheduler_info(n_workers=-1)["workers"]
            workers = [
                _Worker(at, facts["host"], int(facts["resources"].get("core", 0))) for at, facts in found.items()
            ]
            self._known = tuple(worker for worker in workers if worker.cores > 0)
            self._known_at = time.monotonic()
            self._are_without_cores = bool(workers) and not self._known
        return self._known

    def _await_workers(self) -> None:
        deadline = time.monotonic() + _ARRIVAL_S
        hint = _START_HINT.format(address=self._address)
        while not self._workers():
            if self._are_without_cores:
                problem = f"no worker of the Dask cluster at {self._address} offers the resource core"
                raise EnvironmentProblem(problem, hint=hint)
            if time.monotonic() > deadline:
                said = self._cluster.output() if self._cluster else ""
                raise EnvironmentProblem(f"no worker has joined the Dask cluster at {self._address}", hint=said or hint)
            time.sleep(0.05)
            self._known_at = -_FRESH_S

    def _hear(self, event: tuple[float, Any]) -> None:
        """Pass on what a stage says, on the client's thread."""
        key, text = event[1]
        if say := self._listeners.get(key):
            say(text)

    def _watch(self) -> None:
        """Say of nodes that nobody can compute any more that they wait; a worker may yet be started."""
        while not self._is_closed.wait(_WATCH_S):
            with contextlib.suppress(EnvironmentProblem):  # the scheduler is gone, which ends all nodes by itself
                hosts = {worker.host for worker in self._workers()}
                for key, say in list(self._listeners.items()):
                    if not hosts.intersection(self._waiting_for.get(key, hosts)):
                        say(f"no worker is left that could compute this; {_START_HINT.format(address=self._address)}")

    def _finish(self, key: str, there: Any, future: Future[tuple[Record, Outcome]]) -> None:
        """Settle our future by Dask's, on the client's thread for that.

        A worker may be lost between computing and answering: then this waits until another one has answered.
        """
        result, problem = None, None
        try:
            result = self._result(there)
        except Exception as error:  # the node's, the cluster's, or one that our own side cannot read
            problem = error
        self._listeners.pop(key, None)
        self._waiting_for.pop(key, None)
        if result:
            future.set_result(result)
        else:
            future.set_exception(problem)
        with contextlib.suppress(Exception):  # the cluster may be gone
            there.release()

    def _result(self, there: Any) -> tuple[Record, Outcome]:
        from distributed import KilledWorker

        try:
            answer: Finished | Failed = pickle.loads(there.result())
        except KilledWorker as error:
            times = error.allowed_failures + 1
            problem = f"it killed its worker {_times(times)}; the last one was {error.last_worker.address}"
            raise StageFailed(problem, code=WorkerLost.code, hint="see that machine's log: memory?") from error
        except CancelledError as error:
            problem = f"the Dask scheduler at {self._address} gave it up or is gone"
            raise EnvironmentProblem(problem, hint="everything finished is kept; run again") from error
        except Exception as error:  # from the worker, before our code ran there: a module is missing, or is another
            raise EnvironmentProblem(
                f"a Dask worker cannot compute nodes: {type(error).__name__}: {error}",
                hint="install the same version of this program, and the same Python, on every machine",
            ) from error
        if isinstance(answer, Finished):
            return answer.record, answer.outcome
        answer.error.__cause__ = RemoteTraceback(answer.trace)
        raise answer.error

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn a lost scheduler into an EnvironmentProblem."""
        try:
            yield
        except (OSError, TimeoutError, RuntimeError) as error:  # RuntimeError: the client has given up
            raise EnvironmentProblem(
                f"the Dask scheduler at {self._address} does not answer: {error}",
                hint="everything finished is kept; run again when the cluster is there",
            ) from error


def _check_installed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        problem = "the executor dask needs dask and distributed, which are not installed"
        raise EnvironmentProblem(problem, hint='pip install "tinytorch-pipeline[dask]"') from None


def _connect(address: str) -> Any:
    import dask
    from distributed import Client

    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})  # a submission names all its points
    for name in ("distributed", "distributed.client"):  # it reports to its users, who program with it
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise EnvironmentProblem(
            f"no Dask scheduler answers at {address}: {error}", hint="start one: dask scheduler"
        ) from error


def _times(count: int) -> str:
    return {1: "once", 2: "twice", 3: "three times"}.get(count, f"{count} times")
