"""Locks on names: one holder at a time, on this machine. They are the kernel's, and die with the process.

All names share one file, each as a byte of it: a file for every key would be one more file for every node.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator

from pipeline.core.keys import digest_bytes
from pipeline.store.objects import make_folder

__all__ = ["lock_file", "locked"]

_FILE = "keys"
_ATTEMPTS = 2  # at a folder that somebody may be deleting
# A lock of this kind belongs to the opened file, not to the process: two threads exclude each other, too. Linux has it.
_WAIT = getattr(fcntl, "F_OFD_SETLKW", None)
_DIGITS = 15  # hex digits of a name's digest: a place in a file is a signed 64-bit number


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], name: str) -> Iterator[None]:
    """Hold the lock of this name inside the block; wait until nobody else has it. Raises OSError where that fails.

    Two names share a lock once in 10^18: then one waits for the other, and nothing else happens.
    """
    descriptor = _acquired(folder, name)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquired(folder: str | os.PathLike[str], name: str) -> int:
    descriptor = lock_file(folder, _FILE if _WAIT is not None else f"{name}.lock")
    try:
        if _WAIT is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            place = int(digest_bytes(name.encode())[:_DIGITS], 16)
            # struct flock: type, whence, start, length, and a process id that has to be 0
            fcntl.fcntl(descriptor, _WAIT, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock_file(folder: str | os.PathLike[str], file: str) -> int:
    """Open a file to lock, made where it is missing, with its folder; return the descriptor. Raises OSError."""
    path = os.path.join(folder, file)
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        make_folder(os.fspath(folder))
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
