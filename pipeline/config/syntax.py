"""YAML syntax errors in plain words.

libyaml and PyYAML name the state of their scanner ("did not find expected key"); a person wants to know which bracket
is open. Works for both parsers: they differ in wording, hence the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from pipeline.config.document import Mark

__all__ = ["explain_syntax"]

# (pattern over "context | problem", whether to point at where the context began, message, hint); the first one wins.
_RULES: tuple[tuple[str, bool, str, str], ...] = (
    (
        r"cannot start any token.*'\\t'|^TAB",
        False,
        "a tab cannot be used here",
        "indent with spaces",
    ),
    (
        r"cannot start any token",
        False,
        "a value cannot begin with this character",
        "put the value in quotes",
    ),
    (
        r"quoted scalar.*(end of stream|document)",
        True,
        "this quote is never closed",
        "",
    ),
    (
        r"flow (sequence|mapping) \|",
        True,
        "this bracket is not closed, or a comma is missing after one of its items",
        "",
    ),
    (
        r"mapping values are not allowed",
        False,
        "a second ':' cannot follow here",
        "check the indentation of this line and the one above; put a text that contains ': ' in quotes",
    ),
    (
        r"could not find expected ':'|while scanning a simple key",
        True,
        "this line is neither 'key: value' nor a list item",
        "is a ':' missing, or the space after it?",
    ),
    (
        r"escape",
        True,
        "a backslash in double quotes begins an escape that YAML does not know",
        "write the text in single quotes, where a backslash is only a backslash",
    ),
    (
        r"block (mapping|collection|sequence)",
        False,
        "this does not continue what is before it",
        "items of one list or mapping begin in the same column",
    ),
    (
        r"undefined tag handle|while (scanning|parsing) a tag|tag",
        False,
        "tags are not allowed: files hold plain values only",
        "put the value in quotes if it is meant as text",
    ),
)


def explain_syntax(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> tuple[str, Mark, str]:
    """Return the message, the place and the hint for a parser's error."""
    problem_mark = error.problem_mark or error.context_mark
    text = f"{error.context or ''} | {error.problem or ''}"
    if problem_mark is not None and _char_at(lines, problem_mark.line, problem_mark.column) == "\t":
        text = "TAB " + text
    for pattern, points_at_context, message, hint in _RULES:
        if re.search(pattern, text):
            mark = error.context_mark if points_at_context and error.context_mark is not None else problem_mark
            place = _place(mark, lines)
            own = _reference_hint(lines[place.line - 1]) or (_colon_hint(lines, place.line) if "':'" in message else "")
            return message, place, own or hint
    return f"this is not YAML: {error.problem}", _place(problem_mark, lines), ""


def _reference_hint(line: str) -> str:
    """Return a hint if the line has a reference to a variable without quotes, whose brackets YAML takes for its own."""
    bare = re.search(r"[\[{,:]\s*(\$\{\w+\})", line)
    return f'put it in quotes: "{bare[1]}"' if bare else ""


def _colon_hint(lines: Sequence[str], line: int) -> str:
    """Return a hint if the line above has no colon, and so runs on into this one."""
    above = next((number for number in range(line - 1, 0, -1) if lines[number - 1].strip()), 0)
    has_none = above and re.fullmatch(r"[^:#\[\]{}]+", lines[above - 1])
    return f"is a ':' missing in line {above}?" if has_none else ""


def _char_at(lines: Sequence[str], line: int, column: int) -> str:
    return lines[line][column : column + 1] if line < len(lines) else ""


def _place(mark: yaml.Mark | None, lines: Sequence[str]) -> Mark:
    """Return a parser's mark as ours, on the last line if it lies behind the end of the file."""
    if mark is None:
        return Mark(1, 1)
    if mark.line >= len(lines) or (mark.line == len(lines) - 1 and not lines[mark.line] and mark.line > 0):
        last = next((index for index in range(len(lines) - 1, -1, -1) if lines[index].strip()), 0)
        return Mark(last + 1, len(lines[last].rstrip()) + 1)
    return Mark(mark.line + 1, mark.column + 1)
