"""Plain text for terminals: what is safe to print, columns that align, and tables that fit a width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Cell", "Table", "cells_of", "paint", "printable", "wrap"]

# Control characters, those that reorder or hide text, and what XML cannot hold: a hostile name must not drive the
# terminal, nor end what draws a picture.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")
_COLOURS = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "strong": "1"}
_GAP = 2


class Cell(NamedTuple):
    """A text and its tone (good, bad, warn, dim, strong or "")."""

    text: str
    tone: str = ""


class Table(NamedTuple):
    """Rows under a header. `optional` columns go first (in the given order) where the width is too small for all.

    Numbers stand right in the columns of `right`. If the rest still does not fit, each row becomes a block: its first
    cell, then the others with their header before them, one to a line or, if `flows`, filled into lines.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    optional: Sequence[int] = ()
    right: Sequence[int] = ()
    flows: bool = False

    def lines(self, width: int, colour: bool) -> list[str]:
        """Return the lines, none wider than `width` unless a single cell is."""
        columns = list(range(len(self.header)))
        for dropped in [None, *self.optional]:
            columns = [column for column in columns if column != dropped]
            if self._total(columns) <= width:
                return self._grid(columns, {column: self._column_width(column) for column in columns}, colour)
        return self._blocks(width, colour)

    def fits(self, width: int) -> bool:
        """Return whether all columns fit."""
        return self._total(list(range(len(self.header)))) <= width

    def _total(self, columns: list[int]) -> int:
        return sum(map(self._column_width, columns)) + _GAP * (len(columns) - 1)

    def _column_width(self, column: int) -> int:
        return max(cells_of(text) for text in [self.header[column], *(row[column].text for row in self.rows)])

    def _grid(self, columns: list[int], widths: dict[int, int], colour: bool) -> list[str]:
        header = [Cell(text, "dim") for text in self.header]
        lines = []
        for row in [header, *self.rows]:
            parts = []
            for column in columns:
                text = row[column].text
                padding = " " * (widths[column] - cells_of(text))
                shown = paint(text, row[column].tone, colour)
                parts.append(padding + shown if column in self.right else shown + padding)
            lines.append((" " * _GAP).join(parts).rstrip())
        return lines if any(self.header) else lines[1:]

    def _blocks(self, width: int, colour: bool) -> list[str]:
        lines = []
        for row in self.rows:
            lines += wrap(row[0].text, width, "", "  ")
            pairs = [(name, cell) for name, cell in zip(self.header[1:], row[1:], strict=True) if cell.text]
            if self.flows:
                lines += wrap(", ".join(f"{name} {cell.text}".strip() for name, cell in pairs), width, "    ", "    ")
            else:
                name_width = max((cells_of(name) for name, _ in pairs), default=0)
                lines += [f"  {name:<{name_width}}  {paint(cell.text, cell.tone, colour)}" for name, cell in pairs]
        return lines


def printable(text: str) -> str:
    """Return the text with every control character, line breaks included, replaced by U+FFFD."""
    return _UNSAFE.sub("\ufffd", text)


def paint(text: str, tone: str, colour: bool) -> str:
    """Return the text in the colour of its tone, or as it is."""
    return f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if colour and tone in _COLOURS and text else text


def cells_of(text: str) -> int:
    """Return how many terminal cells a text takes: 2 for a wide character, 0 for a combining one."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrap(text: str, width: int, first: str, rest: str) -> list[str]:
    """Fill words into lines of at most `width` cells (a longer word stands alone), with prefixes for the lines."""
    lines: list[str] = []
    line, empty = first, True
    for word in text.split(" "):
        if not empty and cells_of(line) + 1 + cells_of(word) > width:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]
