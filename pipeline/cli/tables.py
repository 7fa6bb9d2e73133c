"""Tables for commands off the fast path, laid out by rich; where they are too wide, the last column goes below."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.console import columns, has_colour
from pipeline.report.text import cells_of, printable, wrap

__all__ = ["ranges", "table"]

_GAP = 3
_READABLE = 36  # cells that the last column needs to be read with ease
_INDENT = "    "


def table(header: Sequence[str], rows: Sequence[Sequence[str]], optional: str = "") -> str:
    """Return rows under a header, fitted to the terminal; colour only on a terminal and without NO_COLOR.

    The last column takes the lines it needs. Where too little room is left for it, the column called `optional` is left
    out, and if that is not enough, the last column stands below its row.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cells_of, column)) for column in zip(header, *shown, strict=True)]
    room = columns() - sum(width + _GAP for width in widths[:-1])
    if room >= min(widths[-1], _READABLE):
        return _grid(header, shown)
    if optional and optional in header[:-1]:
        kept = [place for place, name in enumerate(header) if name != optional]
        return table([header[place] for place in kept], [[row[place] for place in kept] for row in shown])
    return "\n".join(line for row in [list(header), *shown] for line in _stacked(row, widths))


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in words: [1, 2, 3, 5] is "1-3,5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(header):
        is_last = place == len(header) - 1
        grid.add_column(name, overflow="fold", no_wrap=not is_last)
    for row in rows:
        grid.add_row(*map(Text, row))
    out, colour = io.StringIO(), has_colour()
    console = Console(file=out, width=columns(), force_terminal=colour, no_color=not colour, highlight=False)
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def _stacked(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of a row: its cells but the last in columns, as far as they fit, and the last below them."""
    *cells, last = row
    padded = [f"{cell}{' ' * (width - cells_of(cell))}" for cell, width in zip(cells, widths, strict=False)]
    first = (" " * (_GAP - 1)).join(padded).rstrip()
    lines = [first] if cells_of(first) <= columns() else wrap(" ".join(filter(None, cells)), columns(), "", _INDENT)
    return lines + (wrap(last, columns(), _INDENT, _INDENT) if last else [])
