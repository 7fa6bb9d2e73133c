"""What a check found, before it is placed in a file: a code, the path of the value, and words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.config.paths import Path
from pipeline.core.experiment import JSON

__all__ = ["Finding", "clipped", "found", "nearest", "nearest_value", "nearest_word"]


class Finding(NamedTuple):
    """One problem with the value at a path; `at_key` points at its key instead of the value.

    `meant` is the path that was probably meant by a misspelt key: that it is missing is no second problem.
    """

    code: str
    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    meant: Path = ()


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return the end of a message that names the valid word nearest to a wrong one, "" if none is near."""
    near = nearest_word(word, valid)
    return f'; did you mean "{near}"?' if near else ""


def nearest_word(word: str, valid: Iterable[str]) -> str:
    """Return the valid word nearest to a wrong one, "" if none is near."""
    choices = {choice.lower(): choice for choice in valid}
    near = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.6)
    return choices[near[0]] if near else ""


def nearest_value(value: JSON, valid: Sequence[JSON]) -> str:
    """Return the end of a message that names the valid value nearest to a wrong one, "" if none is near."""
    if isinstance(value, str):
        return nearest(value, (item for item in valid if isinstance(item, str)))
    numbers = [item for item in valid if isinstance(item, int | float) and not isinstance(item, bool)]
    if isinstance(value, bool) or not isinstance(value, int | float) or not numbers:
        return ""
    return f"; the nearest value is {found(min(numbers, key=lambda item: abs(item - value)))}"


def found(value: JSON) -> str:
    """Return a value as a message names it: short, on one line, and telling a text from a number."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f'the text "{clipped(" ".join(value.split()))}"'
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def clipped(text: str, longest: int = 40) -> str:
    """Return a text, cut where it is longer than a message should be."""
    return text if len(text) <= longest else f"{text[:longest]}..."
