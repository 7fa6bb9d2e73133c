"""What measures runs alone on its machine, also beside other runs: all of them share a lock that it takes for itself.

The lock is the kernel's and dies with its holder. It concerns the runs of one user's store on one machine; what else
the machine does is watched while something is measured (`pipeline.measure.quiet`).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.core.keys import digest_bytes
from pipeline.store.locks import lock_file

__all__ = ["at_work"]


@contextlib.contextmanager
def at_work(locks: Path, say: Callable[[str], None], *, alone: bool) -> Iterator[None]:
    """Work inside the block: beside others, or `alone`; wait until that is possible, and say so.

    `locks` is the store's folder for locks. Raises OSError when it cannot be used.
    """
    # A store may be shared by machines, and then its locks may be, too.
    descriptor = lock_file(locks, f"machine-{_this_machine()}")
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run on this machine {'works' if alone else 'measures'}: waiting until it has finished that")
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


@functools.cache
def _this_machine() -> str:
    return digest_bytes(os.uname().nodename.encode())[:12]
