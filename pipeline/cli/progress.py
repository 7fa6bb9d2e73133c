"""Progress on stderr: one line when a node that takes time starts, one when it has ended. Nothing is redrawn.

A spinner would wake the processor while something is measured; a line before and a line after do not.
"""

from __future__ import annotations

from typing import TextIO

from pipeline.core.event import Event, Outcome

__all__ = ["Progress"]


class Progress:
    """Receives events; call it with each."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet

    def __call__(self, event: Event) -> None:
        """Print what the event says; cached and starting nodes are silent on a stream that is no terminal."""
        if self._quiet or event.outcome is Outcome.CACHED:
            return
        if event.outcome is None:
            if self._stream.isatty():
                self._write(f"  …        {event.label}", end="\r")
            return
        seconds = f"{event.seconds:6.1f} s" if event.outcome is Outcome.RAN else " " * 8
        detail = event.note or event.reason
        self._write(f"{seconds}  {event.outcome.value:<7} {event.label:<44} {detail}".rstrip())

    def _write(self, line: str, end: str = "\n") -> None:
        clear = "\x1b[2K" if self._stream.isatty() else ""
        print(f"{clear}{line}", end=end, file=self._stream, flush=True)
