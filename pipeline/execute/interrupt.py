"""Ctrl-C: the first one ends a run after what is running, the second one ends it at once.

SIGTERM counts like Ctrl-C. Processes that compute or measure do not get the terminal's signal (they are in sessions of
their own), so what runs is not disturbed by the first one.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["Stop", "stoppable"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A wish that a run should end: `requested` once somebody has made it."""

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def stoppable(announce: Callable[[], None]) -> Iterator[Stop]:
    """Let the first SIGINT or SIGTERM inside this block request the stop, and the next one raise KeyboardInterrupt.

    `announce` is called from the signal handler, in the middle of anything: it must not take a lock or use a buffer.
    Outside of the main thread, which alone may handle signals, the block changes nothing.
    """
    stop = Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        announce()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # Whoever started this with a signal ignored, as shells do with what runs in the background, meant that.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    former = {number: signal.signal(number, on_signal) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
