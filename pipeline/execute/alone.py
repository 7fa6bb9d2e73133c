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

_WAITING = {
    alone: f"another run on this machine {verb}: waiting until it has finished that"
    for alone, verb in ((True, "works"), (False, "measures"))
}


@contextlib.contextmanager
def at_work(locks: Path, say: Callable[[str], None], *, alone: bool) -> Iterator[None]:
    """Work inside the block: beside others, or `alone`; wait until that is possible, and say so.

    `locks` is the store's folder for locks. Raises OSError when it cannot be used.
    """
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    told = functools.cache(lambda: say(_WAITING[alone]))
    # A store may be shared by machines, and then its locks may be, too.
    machine = lock_file(locks, f"machine-{_this_machine()}")
    try:
        # Everyone passes here first, and whoever waits for the machine waits in here: so a measurement gets its turn
        # although others keep coming.
        turnstile = lock_file(locks, f"turn-{_this_machine()}")
        try:
            _take(turnstile, kind, told)
            _take(machine, kind, told)
        finally:
            os.close(turnstile)
        yield
    finally:
        os.close(machine)


def _take(descriptor: int, kind: int, told: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        told()
        fcntl.flock(descriptor, kind)


@functools.cache
def _this_machine() -> str:
    return digest_bytes(os.uname().nodename.encode())[:12]
