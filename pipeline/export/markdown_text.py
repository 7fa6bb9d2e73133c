"""Text of strangers as Markdown: shown as it is, never as markup, a link, a mention or a line of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pipeline.report.text import printable

__all__ = ["code", "escaped", "table"]

# What has a meaning anywhere in a line, and what has one at its start only.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_START = re.compile(r"^\s*(?:([-+=:])|(\d+)(?=[.)](?:\s|$)))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}  # @name would notify a person


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    marked = _SPECIAL.sub(r"\\\1", printable(text))
    shown = "".join(_ENTITIES.get(character, character) for character in marked).replace("://", ":&#47;&#47;")
    return _START.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\", shown)


def code(text: str) -> str:
    """Return text as code in a line, whatever backticks it has."""
    shown = printable(text).replace("|", "\\|")
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{shown or ' '}{space}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
