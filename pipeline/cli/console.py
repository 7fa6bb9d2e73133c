"""The terminal that is written to: its width, whether it takes colour, and characters that it cannot show.

Standard library only; every command prints through this.
"""

from __future__ import annotations

import codecs
import os
import re
import shutil
import sys
from typing import TextIO

__all__ = ["columns", "has_colour", "is_live", "open_streams", "safe"]

_WIDTH = 100
_ASCII = {
    "…": "...",
    "µ": "u",
    "±": "+-",
    "×": "x",
    "→": "->",
    "−": "-",
    "–": "-",
    "─": "-",
    "│": "|",
    "├": "|",
    "└": "`",
}
# Control characters but tabs and line breaks, and characters that hide or reorder text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def open_streams() -> None:
    """Make stdout and stderr fit for any text: what their encoding cannot hold is spelled in ASCII.

    A stream that is closed is replaced by one that drops what is written.
    """
    codecs.register_error("look-alike", _look_alike)
    sys.stdout, sys.stderr = _opened(sys.stdout), _opened(sys.stderr)


def columns(default: int = _WIDTH) -> int:
    """Return how many characters a line may have: as many as $COLUMNS or the terminal says, else `default`."""
    return shutil.get_terminal_size((default, 24)).columns


def has_colour() -> bool:
    """Return whether stdout takes colour: it is a terminal that knows escape sequences, and NO_COLOR is not set."""
    return is_live(sys.stdout) and not os.environ.get("NO_COLOR")


def is_live(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which a line can be replaced."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def safe(text: str) -> str:
    """Return the text without control characters: a name in a file must not drive the terminal."""
    return _UNSAFE.sub("\ufffd", text)


def _opened(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # for the rest of the process
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors="look-alike")
    return stream


def _look_alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(char, "?") for char in error.object[error.start : error.end]), error.end
