"""What a command gives back; printing it is left to `pipeline.cli.main`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Answer"]


class Answer(NamedTuple):
    """A result as text for a person and as a document for a program; both say the same.

    `message` goes to stderr, after the text: what is wrong, or why the exit code is not 0.
    """

    text: str
    document: Mapping[str, Any]
    exit_code: int = 0
    message: str = ""
