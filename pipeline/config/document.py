"""A YAML file in memory: its values as plain JSON, and for each of them (and each key) where it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pipeline.config.finding import clipped
from pipeline.config.paths import Path, format_path
from pipeline.config.read import split_lines
from pipeline.core.errors import Problem
from pipeline.core.experiment import JSON

__all__ = ["Document", "Mark", "Position"]

_LONGEST = 600  # characters of a message: what a file holds must not fill the screen


class Mark(NamedTuple):
    """A place: line and column count from 1; `origin` is the command-line argument, "" for the file itself."""

    line: int
    column: int
    width: int = 1
    origin: str = ""


class Position(NamedTuple):
    """Where a value is, and the key in front of it (None in a list)."""

    key: Mark | None
    value: Mark


@dataclass(frozen=True)
class Document:
    """A file's values and where they are. `problems` holds what is wrong already, such as a duplicate key."""

    data: JSON
    positions: Mapping[Path, Position]
    path: str
    text: str
    problems: tuple[Problem, ...] = ()

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text, as positions count them."""
        return split_lines(self.text)

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Return where a value (or its key) is; for a value that is only a default, where its nearest parent is."""
        position = self.positions.get(path)
        if position is not None:
            return position.key if key and position.key is not None else position.value
        if path:
            return self.mark(path[:-1], key=True)
        return Mark(1, 1)

    def problem(self, code: str, path: Path, message: str, *, hint: str = "", at: Mark | None = None) -> Problem:
        """Return a problem with the value at a path, pointing at that value or at another place."""
        mark = at if at is not None else self.mark(path)
        if mark.origin:
            where, line, source = "command line", 0, mark.origin
        else:
            where, line = f"{self.path}:{mark.line}:{mark.column}", mark.line
            source = self.lines[line - 1] if line <= len(self.lines) else ""
        return Problem(
            code=code,
            path=where,
            yaml_path=format_path(path),
            message=clipped(message, _LONGEST),
            source_line=source,
            column=mark.column,
            width=mark.width,
            hint=clipped(hint, _LONGEST),
            line=line,
        )
