"""The processes that a command has started, as Linux lists them under /proc; any of them may end while it is read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and theirs."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # the thread, or its process, has ended meanwhile
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from descendants(child)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(pids: Iterable[int], patience_s: float = 30.0) -> None:
    """Wait until none of the processes runs any more; fail when one stays."""
    deadline = time.monotonic() + patience_s
    left = list(pids)
    while left := [pid for pid in left if is_alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.01)
