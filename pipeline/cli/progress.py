"""Progress on stderr: a line for every node that ended or said something; on a terminal a live view below the lines.

A node that is taken from the store is not mentioned. The live view (`pipeline.cli.live`, with rich) is imported when
the first node has to run, and rests while something is measured.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from pipeline.cli.console import columns, is_live
from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Node
from pipeline.execute.estimate import Estimator
from pipeline.report.text import cells_of, printable

if TYPE_CHECKING:
    from pipeline.cli.live import LiveView

__all__ = ["Progress", "node_line"]

_STOPPING = "stopping after what is running now; press Ctrl-C again to stop at once"
_STDERR = 2  # past sys.stderr
_LABEL = 40  # cells; a longer label moves the column for those after it
_WIDEST_LABEL = 60


class Progress:
    """Receives a run's plan, then its events; leave its context when the run has ended."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._width = _LABEL
        self._nodes: list[Node] = []
        self._ended: set[str] = set()
        self._estimator: Estimator | None = None
        self._slots = 1
        self._rests = True
        self._view: LiveView | None = None

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live view off the terminal."""
        if self._view:
            with contextlib.suppress(OSError):  # nobody reads any more
                self._view.stop()
            self._view = None

    def begin(self, nodes: Sequence[Node], estimator: Estimator, *, slots: int = 1, rests: bool = True) -> None:
        """Take note of the nodes that a run has before it: `slots` run at a time; `rests` while one measures."""
        self._nodes += nodes
        self._estimator, self._slots, self._rests = estimator, slots, rests
        if self._view:
            self._view.board.add(nodes, self._ended)

    def announce_stop(self) -> None:
        """Say that the run ends after what is running.

        Made for a signal handler, which may interrupt anything: no lock is taken and no buffer used. On a live view the
        text takes the place of its last line, so that the next drawing removes it.
        """
        text = f"\n{_STOPPING}\n"
        if self._view:
            self._view.is_stopping = True
            text = f"\r\x1b[2K{_STOPPING[: columns() - 1]}"
        with contextlib.suppress(OSError):
            os.write(_STDERR, text.encode())

    def __call__(self, event: Event) -> None:
        """Show what the event says; cached and starting nodes are silent on a stream that is no terminal."""
        if event.outcome is not None:
            self._ended.add(event.node)
        if self._quiet:
            return
        try:
            self._show(event)
        except OSError:  # nobody reads any more; that is no reason to stop working
            self._quiet = True

    def _show(self, event: Event) -> None:
        line = self._line(event)
        if self._view is None and event.outcome is None and is_live(self._stream) and self._estimator:
            self._view = self._started_view(self._estimator)
        if self._view:
            self._view.receive(event, line)
        elif line is not None:
            print(line, file=self._stream, flush=True)

    def _line(self, event: Event) -> str | None:
        """Return what is to be read of an event, if anything."""
        if event.said:
            return f"{printable(event.label)}: {printable(event.said)}"
        if event.outcome is None:
            again = f"{printable(event.label)}: attempt {event.attempt}, because {printable(event.reason)}"
            return again if event.attempt > 1 else None
        if event.outcome is Outcome.CACHED:
            return None
        self._width = max(self._width, min(cells_of(event.label), _WIDEST_LABEL))
        seconds = event.seconds if event.outcome is Outcome.RAN else None
        return node_line(seconds, event.outcome.value, event.label, event.note or event.reason, self._width)

    def _started_view(self, estimator: Estimator) -> LiveView:
        from pipeline.cli.board import Board
        from pipeline.cli.live import LiveView

        board = Board(estimator, self._slots)
        board.add(self._nodes, self._ended)
        view = LiveView(self._stream, board, rests=self._rests)
        view.start()
        return view


def node_line(seconds: float | None, outcome: str, label: str, detail: str, width: int = _LABEL) -> str:
    """Return how a node ended as one line, its label filled up to `width` cells; `seconds` only if it ran."""
    time = f"{seconds:8.1f} s" if seconds is not None else " " * 10
    outcome, label, detail = printable(outcome), printable(label), printable(detail)
    padding = " " * max(width - cells_of(label), 0)
    return f"{time}  {outcome:<7}  {label}{padding}  {detail}".rstrip()
