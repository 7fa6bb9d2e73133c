"""The live view of a run on a terminal: what runs, how much is done, how long the rest takes; lines of the past above.

While something is measured nothing is written and no thread of this process wakes up: redrawing would be work that the
measurement sees. The view then says since when it rests. Imported when the first node has to run: it needs rich.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.board import Board, Running, duration
from pipeline.core.event import Event
from pipeline.execute.estimate import Expectation
from pipeline.report.text import printable

__all__ = ["LiveView", "rest_of"]

_INTERVAL_S = 0.5
_MOST_DRAWINGS = 5  # in this time, however many nodes end: drawing takes longer than a small node
_MOST_RUNNING = 8  # that have a line of their own
_BAR = 30  # cells


class _Console(Console):
    """A console that reports a reader that has gone (rich's own ends the process) and lets the cursor be seen.

    A hidden one would stay hidden after the process was killed or suspended.
    """

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def show_cursor(self, show: bool = True) -> bool:
        return False


class LiveView:
    """Draws a board; `start` and `stop` it. With `rests` false it is redrawn even while something is measured.

    `is_stopping` says that nothing new starts.
    """

    def __init__(self, stream: TextIO, board: Board, *, rests: bool = True, interval_s: float = _INTERVAL_S) -> None:
        self.board = board
        self.is_stopping = False
        self._rests = rests
        self._interval_s = interval_s
        self._console = _Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._live = Live(self, console=self._console, auto_refresh=False, transient=True)
        self._changed = threading.Condition()
        self._is_closed = self._is_resting = False
        self._held: list[str] = []
        self._drawn_at = -math.inf
        self._ticker = threading.Thread(target=self._tick, name="live view", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()
        self._ticker.start()

    def stop(self) -> None:
        """Take the view away; what was held back is written."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._ticker.join()
        self._draw()
        self._live.stop()

    def receive(self, event: Event, line: str | None) -> None:
        """Draw the board after an event, below a new line; while something is measured nothing is drawn.

        What begins to be measured is drawn once more before the view rests; so is what the measuring stage says, which
        it does only while it waits.
        """
        with self._changed:
            if event.outcome is not None:
                self.board.end(event)
            elif not event.said:
                self.board.start(event)
            if line is not None:
                self._held.append(line)
            rested, self._is_resting = self._is_resting, self._measures()
            is_due = time.monotonic() >= self._drawn_at + self._interval_s / _MOST_DRAWINGS
            if event.said or rested != self._is_resting or (is_due and not rested):
                self._draw()
            if rested != self._is_resting:
                self._changed.notify()

    def _measures(self) -> bool:
        return self._rests and any(one.measures for one in self.board.running.values())

    def _draw(self) -> None:
        if self._held:
            self._console.print(Text("\n".join(self._held)))  # which draws the view below it, too
            self._held = []
        else:
            self._live.refresh()
        self._drawn_at = time.monotonic()

    def _tick(self) -> None:
        with self._changed:
            while not self._is_closed:
                was_told = self._changed.wait(None if self._is_resting else self._interval_s)
                # It may have waited for an event that was being drawn, and that made the view rest or closed it.
                if not (was_told or self._is_closed or self._is_resting):
                    try:
                        self._draw()
                    except OSError:  # nobody reads any more
                        self._is_closed = True

    def __rich__(self) -> Group:
        """Return what is to be seen now; rich asks whenever it draws, lines above included."""
        running = list(self.board.running.values())
        rows = Table.grid(padding=(0, 2))
        for column in range(3):
            rows.add_column(no_wrap=True, overflow="ellipsis", justify="right" if column == 0 else "left")
        for one in running[:_MOST_RUNNING]:
            rows.add_row(*self._row(one))
        more = len(running) - _MOST_RUNNING
        lines = [Text(f"           and {more} more", style="dim")] if more > 0 else []
        return Group(rows, *lines, self._bar())

    def _row(self, one: Running) -> tuple[Text, Text, Text]:
        again = f" (attempt {one.attempt})" if one.attempt > 1 else ""
        label = Text(printable(one.label) + again)
        usual = f"about {duration(one.expected)}" if one.expected is not None else ""
        if one.measures and self._rests:
            since = time.strftime("%H:%M:%S", time.localtime(time.time() - self.board.elapsed(one)))
            said = ", ".join(filter(None, [f"since {since}", usual, "this view rests until it is measured"]))
            return Text("measuring", "bold"), label, Text(said, "dim")
        said = " of ".join(filter(None, [duration(self.board.elapsed(one)), usual]))
        return Text("running", "bold"), label, Text(said, "dim")

    def _bar(self) -> Table:
        board = self.board
        row = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(board.total, 1), completed=board.done, width=_BAR)
        said = "stopping after what is running; Ctrl-C again: at once" if self.is_stopping else rest_of(board.left())
        row.add_row(bar, Text(f"{board.done}/{board.total} nodes", no_wrap=True), Text(said, no_wrap=True))
        return row


def rest_of(left: Expectation) -> str:
    """Return an expectation in words: what it lacks makes it a lower bound."""
    if not left.unknown:
        return f"about {duration(left.seconds)} left" if left.seconds >= 1 else "less than 1 s left"
    unknown = f"{left.unknown} nodes of a kind that never ran here"
    return f"{duration(left.seconds)} and {unknown}" if left.seconds else f"unknown: {unknown}"
