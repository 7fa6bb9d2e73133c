"""Who has a store open: a lock of the kernel's that commands share, so that whoever tidies up knows if it is alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["InUse", "alone"]


class InUse:
    """A shared hold on a store, until `close` or the end of the process; waits for somebody who tidies up alone.

    Where the file system has no locks there is none to hold, and `alone` never claims to be.
    """

    def __init__(self, root: Path) -> None:
        self.close: Callable[[], object] = bool  # does nothing
        with contextlib.suppress(OSError):  # a store that cannot be written is not tidied up, either
            fd = os.open(_path(root), os.O_RDONLY | os.O_CREAT, 0o644)
            self.close = weakref.finalize(self, os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_SH)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Yield whether no command has the store open; as long as that holds, whoever wants to open it waits."""
    fd = _opened(root)
    if fd < 0:
        yield False
        return
    try:
        yield _locked(fd)
    finally:
        os.close(fd)


def _opened(root: Path) -> int:
    """Return the lock's file, which network file systems want opened for writing; -1 where there is none."""
    for mode in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with contextlib.suppress(OSError):
            return os.open(_path(root), mode, 0o644)
    return -1


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _path(root: Path) -> Path:
    return root / "locks" / "in-use"
