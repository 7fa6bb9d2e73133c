"""What happens in a run, as it happens: `runs/<name>/events.jsonl`, the interface for programs that watch.

One JSON object a line, each written at once. All have `event`, `time` (seconds since the epoch) and `run` (the same for
all lines of one run); events of nodes have `node` (its id in the plan) and `label`.

    run_started    version, experiment, command, process (its id), nodes (how many are asked for), asked (--until …)
    nodes_added    nodes (how many more there are: a search has asked for points)
    node_started   reason, attempt (from 1), measures (it runs alone), key
    node_said      text: why it takes longer than expected
    node_finished  outcome (ran, failed, skipped), seconds (its own work), key, reason, error (the traceback, or null)
    run_finished   outcomes (how many nodes ended how), seconds, stopped (by Ctrl-C, after what was running), error
                   (what ended the run at once, or null)

A node that is taken from the store has no line; it is counted in the last one. A node that is tried again has a
node_started with a higher attempt. Without a run_finished the run goes on or was killed: a run holds a shared lock of
the system (flock) on the file, which dies with its process. A run writes the file anew, but beside another run into
the same folder it appends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.event import Event, Outcome

__all__ = ["EVENTS_FILE", "Journal", "is_running", "read_events"]

EVENTS_FILE = "events.jsonl"
_VERSION = 1
_ATTEMPTS = 10
_INSTANT_S = 0.002  # the lock is held for 5 µs by who only asks
_MOST_BYTES = 256 * 2**20  # a failed node has its traceback, any other some hundred bytes


class Journal:
    """Writes a run's events; call it with each, and leave its context when the run has ended.

    `is_stopped` says that the run ends before it has done everything. A file that cannot be written does not stop the
    work: that is raised (EnvironmentProblem) at the end.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._path = path
        self.is_stopped = False
        self._head = dict(head)
        self._run = os.urandom(6).hex()
        self._started = time.time()
        self._outcomes: dict[str, Outcome] = {}
        self._problem: OSError | None = None
        self._file = -1

    def __enter__(self) -> Journal:
        """Open the file and say that the run has started."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._claim()
        except OSError as error:
            self._problem = error
        self._write("run_started", version=_VERSION, **self._head, process=os.getpid())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that the run has ended, and how; raise what was in the way of writing, if nothing else is raised."""
        outcomes = Counter(outcome.value for outcome in self._outcomes.values())
        said = None if error is None else f"{type(error).__name__}: {error}"
        seconds = time.time() - self._started
        self._write("run_finished", outcomes=dict(outcomes), seconds=seconds, stopped=self.is_stopped, error=said)
        if self._file >= 0:
            os.close(self._file)
        if self._problem and error is None:
            raise EnvironmentProblem(
                f"{self._path} cannot be written: {self._problem.strerror or self._problem}",
                hint="choose another folder with --out, or make room; everything computed is kept",
            ) from self._problem

    def add_nodes(self, count: int) -> None:
        """Write that the run has more nodes before it than were known when it started."""
        if count:
            self._write("nodes_added", nodes=count)

    def __call__(self, event: Event) -> None:
        """Write what the event says."""
        if event.outcome is not None:
            self._outcomes[event.node] = event.outcome
        if event.outcome is Outcome.CACHED:
            return
        about = {"node": event.node, "label": event.label}
        if event.said:
            self._write("node_said", **about, text=event.said)
        elif event.outcome is None:
            started = {"reason": event.reason, "attempt": event.attempt, "measures": event.measures, "key": event.key}
            self._write("node_started", **about, **started)
        else:
            self._write(
                "node_finished",
                **about,
                outcome=event.outcome.value,
                seconds=event.seconds,
                key=event.key or None,
                reason=event.reason,
                error=event.error or event.note or None,
            )

    def _claim(self) -> None:
        """Empty the file, unless another run writes it just now."""
        if _locked_alone(self._file):
            os.ftruncate(self._file, 0)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def _write(self, event: str, **facts: Any) -> None:
        if self._problem:
            return
        line = json.dumps({"event": event, "time": time.time(), "run": self._run, **facts}).encode() + b"\n"
        try:
            while line:  # as a rule one call, so that two runs do not cut each other's lines
                line = line[os.write(self._file, line) :]
        except OSError as error:
            self._problem = error


def is_running(path: Path) -> bool:
    """Tell whether a process that writes this file lives."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked_alone(file)
    finally:
        os.close(file)


def _locked_alone(file: int) -> bool:
    """Lock an open file that no run writes; tell whether that was possible.

    Whoever asks whether a run lives has the lock for an instant: so who does not get it tries again.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_INSTANT_S)
    return False


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a file, none if there is no file; lines that are cut short or are no events are left out.

    At most the first 256 MiB are read.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event
