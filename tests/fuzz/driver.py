"""Drive the processes that check inputs: restart what died or hangs, keep what failed, make it smaller."""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.files import Files, Link, write_files

__all__ = ["Found", "Tally", "Worker", "fuzz", "shrink"]

ROOT = Path(__file__).parents[2]
SECONDS = 5.0  # of a processor that one input may take
_WAITING = 6  # times as long it may take by the clock: other processes may want the processor, too
_LOOK = 0.2  # seconds between two looks at how much it took
_STARTING = 60.0
_INPUTS = 5000  # that one process checks: a leak shows, and ends with it
_TRIES = 400  # to make one input smaller
_TRYING = 30.0  # seconds for that


@dataclass
class Found:
    """The first input that failed in some way, and how many did."""

    kind: str
    why: str
    detail: str
    index: int
    count: int = 1
    folder: Path | None = None


@dataclass
class Tally:
    """What came out for one kind of input."""

    kind: str
    valid: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    peak_mb: int = 0
    found: dict[str, Found] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """How many were checked."""
        return self.valid + self.refused + self.failed


class Worker:
    """A process that checks inputs; it is started again when it had to be killed, or died."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._left = 0

    def check(self, seconds: float = SECONDS, **request: Any) -> dict[str, Any]:
        """Return the outcome of a request; what hangs or crashes has failed."""
        if self._process is None or not self._left:
            self.close()
            self._start()
        self._left -= 1
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._line(seconds)
        if line:
            return dict(json.loads(line))
        code = None if line is None else self._process.wait()
        self.close()
        if line is None:
            return {"outcome": "failed", "kind": f"takes more than {seconds:g} s", "detail": "", "peak_mb": 0}
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return {"outcome": "failed", "kind": f"the process dies: {name}", "detail": "", "peak_mb": 0}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"), "1")
        limits["PYTHONWARNINGS"] = "ignore"  # Pillow has one for every second picture
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(self._home)],
            cwd=ROOT,
            env={**os.environ, **limits, "PYTHONPATH": path, "PIPELINE_STORE": str(self._home / "store")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if not self._line(_STARTING):
            raise RuntimeError("the process that checks inputs does not start")
        self._left = _INPUTS

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line, b"" if the process ended, None if it takes too long."""
        assert self._process is not None
        assert self._process.stdout is not None
        used, deadline = _processor_seconds(self._process.pid), time.monotonic() + _WAITING * seconds
        while not select.select([self._process.stdout], [], [], _LOOK)[0]:
            if time.monotonic() > deadline or _processor_seconds(self._process.pid) - used > seconds:
                return None
        return self._process.stdout.readline()


def _processor_seconds(pid: int) -> float:
    """Return how long a process was computing; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, see proc(5)


@contextmanager
def _workers(count: int = 1) -> Iterator[list[Worker]]:
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    workers = [Worker(home) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()
        shutil.rmtree(home, ignore_errors=True)


def fuzz(
    kind: str,
    count: int,
    seed: int,
    *,
    first: int = 0,
    seconds: float = math.inf,
    each: float = SECONDS,
    keep: Path | None = None,
) -> Tally:
    """Check `count` inputs from number `first`, or fewer if `seconds` have passed.

    An input that takes a processor more than `each` seconds has failed. Those that failed in a new way are made smaller
    and kept in `keep`.
    """
    tally = Tally(kind)
    began = time.monotonic()
    with _workers() as (worker,):
        for index in range(first, first + count):
            if time.monotonic() - began > seconds:
                break
            reply = worker.check(each, kind=kind, seed=seed, index=index)
            _count(tally, reply, index)
        tally.seconds = time.monotonic() - began
        for found in tally.found.values() if keep is not None else ():
            found.folder = keep / f"{kind}-{seed}-{found.index}"
            _keep(worker, found, seed)
    return tally


def _count(tally: Tally, reply: dict[str, Any], index: int) -> None:
    outcome = reply["outcome"]
    setattr(tally, outcome, getattr(tally, outcome) + 1)
    tally.peak_mb = max(tally.peak_mb, reply["peak_mb"])
    if outcome == "failed":
        if reply["kind"] in tally.found:
            tally.found[reply["kind"]].count += 1
        else:
            tally.found[reply["kind"]] = Found(tally.kind, reply["kind"], reply["detail"], index)


def _keep(worker: Worker, found: Found, seed: int) -> None:
    """Write the input that failed, as small as it still fails in the same way."""
    from tests.fuzz.kinds import make

    assert found.folder is not None
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        files = make(found.kind, seed, found.index)
    finally:
        sys.setrecursionlimit(limit)
    with tempfile.TemporaryDirectory() as scratch:
        files = shrink(worker, found, files, Path(scratch))
    shutil.rmtree(found.folder, ignore_errors=True)
    found.folder.mkdir(parents=True)
    write_files(files, found.folder)


def shrink(worker: Worker, found: Found, files: Files, scratch: Path) -> Files:
    """Return the input without the files, and the pieces of files, that its failure does not need."""
    deadline = time.monotonic() + _TRYING
    tries = 0

    def fails(candidate: Files) -> bool:
        nonlocal tries
        tries += 1
        folder = scratch / str(tries)
        folder.mkdir()
        write_files(candidate, folder)
        reply = worker.check(kind=found.kind, folder=str(folder))
        return bool(reply["outcome"] == "failed" and reply["kind"] == found.why)

    if not fails(files):
        return files
    for candidate in _smaller(files):
        while tries < _TRIES and time.monotonic() < deadline:
            next_one = candidate(files)
            if next_one is None:
                break
            if fails(next_one):
                files = next_one
    return files


def _smaller(files: Files) -> Iterator[Any]:
    """Yield functions from an input to a smaller one, until each returns None: files away, then pieces of them."""
    for name in sorted(files):
        once = iter((name,))
        yield lambda now, once=once: next(({k: v for k, v in now.items() if k != name} for name in once), None)
    for name in sorted(files):
        pieces = _pieces()
        yield lambda now, name=name, pieces=pieces: pieces(now, name)


def _pieces() -> Any:
    """Return a function that takes ever smaller pieces out of one file."""
    state = {"size": 0, "at": 0, "length": -1}

    def without(now: Files, name: str) -> Files | None:
        content = now.get(name)
        if not isinstance(content, bytes) or isinstance(content, Link) or not content:
            return None
        if state["length"] < 0:
            state.update(size=max(1, len(content) // 2), length=len(content))
        elif len(content) == state["length"]:  # the last piece was needed
            state["at"] += state["size"]
        state["length"] = len(content)
        if state["at"] >= len(content):
            if state["size"] == 1:
                return None
            state.update(size=state["size"] // 2, at=0)
        at, size = state["at"], state["size"]
        return {**now, name: content[:at] + content[at + size :]}

    return without
