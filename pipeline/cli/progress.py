"""Progress on stderr: a line when a node that takes time starts, when it says something, and when it has ended.

Nothing is redrawn: a spinner would wake the processor while something is measured; a line before and a line after do
not. What a stage says comes while it waits.
"""

from __future__ import annotations

from typing import TextIO

from pipeline.cli.console import columns, is_live
from pipeline.core.event import Event, Outcome
from pipeline.report.text import cells_of, printable

__all__ = ["Progress", "node_line"]

_LABEL = 40  # cells; a longer label moves the column for those after it
_WIDEST_LABEL = 60


class Progress:
    """Receives events; call it with each."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._is_live = is_live(stream)
        self._width = _LABEL

    def __call__(self, event: Event) -> None:
        """Print what the event says; cached and starting nodes are silent on a stream that is no terminal."""
        if self._quiet or event.outcome is Outcome.CACHED:
            return
        if event.said:
            self._write(f"{printable(event.label)}: {printable(event.said)}", clip=False)
        if event.outcome is None:
            if self._is_live:
                self._write(f"           …        {printable(event.label)}", end="\r")
            return
        self._width = max(self._width, min(cells_of(event.label), _WIDEST_LABEL))
        seconds = event.seconds if event.outcome is Outcome.RAN else None
        self._write(node_line(seconds, event.outcome.value, event.label, event.note or event.reason, self._width))

    def _write(self, line: str, end: str = "\n", *, clip: bool = True) -> None:
        if self._is_live:
            line = f"\x1b[2K{_clipped(line, columns() - 1) if clip else line}"
        try:
            print(line, end=end, file=self._stream, flush=True)
        except OSError:  # nobody reads any more; that is no reason to stop working
            self._quiet = True


def node_line(seconds: float | None, outcome: str, label: str, detail: str, width: int = _LABEL) -> str:
    """Return how a node ended as one line, its label filled up to `width` cells; `seconds` only if it ran."""
    time = f"{seconds:8.1f} s" if seconds is not None else " " * 10
    outcome, label, detail = printable(outcome), printable(label), printable(detail)
    padding = " " * max(width - cells_of(label), 0)
    return f"{time}  {outcome:<7}  {label}{padding}  {detail}".rstrip()


def _clipped(line: str, width: int) -> str:
    """Return the line without what would make a terminal wrap it."""
    cells = 0
    for place, char in enumerate(line):
        cells += cells_of(char)
        if cells > width:
            return f"{line[: place - 1]}…"
    return line
