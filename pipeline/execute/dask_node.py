"""What a Dask worker does for a run: it has each node computed by a process, and returns the record.

A Dask worker lives longer than a run, with the modules it once imported. So nodes are computed in worker processes of
our own, which belong to one run and end with it; one of them computes one node at a time. Artifacts go through the
store: on the same machine, or on one that sees the same folder, through that; on another one through the store's URL,
with a cache in the home folder there.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import EnvironmentProblem, WorkerLost
from pipeline.core.stage import StageInfo
from pipeline.execute.messages import Failed, Finished, Setup
from pipeline.execute.task import Task
from pipeline.execute.worker_process import WorkerProcess
from pipeline.measure import machine
from pipeline.own.source import OwnSource, sources
from pipeline.store.local import LocalStore
from pipeline.store.remote import Remote
from pipeline.store.shared import SharedStore, cache_folder

__all__ = ["Site", "compute", "describe", "end_run", "site_of"]

_IDLE_S = 60.0  # after which the processes of a run end that says nothing any more: it may have been killed
_CACHE = Path(".cache", "tinytorch-pipeline")  # in the home folder of a machine that does not see the run's store


@dataclass(frozen=True)
class Site:
    """What all nodes of a run have in common: the store (its folder, how to recognise it, its URL), stages, limits."""

    run: str
    root: Path
    mark: int
    url: str | None
    stages: Mapping[str, StageInfo]
    memory_limit_bytes: int | None
    timeout_s: float | None
    own: tuple[OwnSource, ...] = ()


def site_of(
    run: str,
    store: LocalStore,
    stages: Mapping[str, StageInfo],
    memory_limit_bytes: int | None,
    timeout_s: float | None,
) -> Site:
    """Return what workers need to know of a run."""
    root, url = store.root.absolute(), store.remote.url if isinstance(store, SharedStore) else None
    return Site(run, root, _mark(root), url, dict(stages), memory_limit_bytes, timeout_s, sources())


def compute(site: bytes, task: bytes) -> bytes:
    """Compute a pickled `Task` of a pickled `Site`; return a pickled `Finished` or `Failed`. It raises nothing.

    What the stage says goes to those who subscribed to the run's id, as (the task's key, text).
    """
    from distributed import get_worker

    host, job = get_worker(), pickle.loads(task)
    try:
        run = _run_of(pickle.loads(site))
        answer: Finished | Failed = run.compute(job, lambda text: host.log_event(run.site.run, [job.key, text]))
    except Exception as error:  # whatever a stage or a missing store raises is the node's, not the cluster's
        answer = Failed(error, "".join(traceback.format_exception(error)))
    return pickle.dumps(answer)


def describe() -> str:
    """Return the fingerprint of this worker's machine."""
    return machine.fingerprint()


def end_run(name: str) -> None:
    """End the processes of a run, in the middle of their work."""
    with _LOCK:
        run = _RUNS.pop(name, None)
    if run:
        run.end()


class _Run:
    """The processes that compute nodes of one run on this worker."""

    def __init__(self, site: Site) -> None:
        self.site = site
        with contextlib.closing(_store(site)) as store:
            self._setup = pickle.dumps(Setup(store, site.stages, site.memory_limit_bytes, site.own))
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._has_ended = False
        self._timer: threading.Timer | None = None

    def compute(self, task: Task, say: Callable[[str], None]) -> Finished:
        """Have a task computed by an idle process, or a new one; what the stage raises is raised."""
        process = self._take()
        try:
            return Finished(*process.compute(task, say, self.site.timeout_s))
        finally:
            self._put_back(process)

    def end(self) -> None:
        """End all processes; those that work see their pipes closed."""
        with self._lock:
            self._has_ended = True
            for process in self._busy:
                process.kill()
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def _take(self) -> WorkerProcess:
        with self._lock:
            if self._has_ended:
                raise WorkerLost("the run has ended")
            if self._timer:
                self._timer.cancel()
            process = self._idle.pop() if self._idle else WorkerProcess(self._setup)
            self._busy.add(process)
            return process

    def _put_back(self, process: WorkerProcess) -> None:
        with self._lock:
            self._busy.discard(process)
            keep = process.is_usable and not self._has_ended
            if keep:
                self._idle.append(process)
            if not (self._busy or self._has_ended):
                self._timer = threading.Timer(_IDLE_S, self._expire)
                self._timer.daemon = True
                self._timer.start()
        if not keep:
            process.close()

    def _expire(self) -> None:
        with self._lock:
            is_idle = not self._busy
        if is_idle:
            end_run(self.site.run)


_RUNS: dict[str, _Run] = {}
_LOCK = threading.Lock()


def _run_of(site: Site) -> _Run:
    with _LOCK:
        if site.run not in _RUNS:
            _RUNS[site.run] = _Run(site)
        return _RUNS[site.run]


def _store(site: Site) -> LocalStore:
    """Return the run's store as this machine reaches it."""
    sees_it = _mark(site.root) == site.mark
    if site.url is not None:
        return SharedStore(site.root if sees_it else cache_folder(site.url, Path.home() / _CACHE), Remote(site.url))
    if not sees_it:
        raise EnvironmentProblem(
            f"a Dask worker does not see the store {site.root}",
            hint="name a folder that all machines share, or a URL: --store s3://bucket/prefix",
        )
    return LocalStore(site.root)


def _mark(root: Path) -> int:
    """Return by what a store is recognised under the same path on another machine: when it was made, to the ns."""
    try:
        return (root / "CACHEDIR.TAG").stat().st_mtime_ns
    except OSError:
        return -1
