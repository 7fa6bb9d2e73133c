"""What an export is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Exported", "Reader", "Source"]


class Reader(Protocol):
    """A store, as far as an export needs it."""

    def read(self, digest: str) -> bytes: ...


@dataclass(frozen=True)
class Source:
    """A finished run: its submission, which is valid by its schema, and the store that has what it names."""

    submission: Mapping[str, Any]
    store: Reader


@dataclass(frozen=True)
class Exported:
    """What was written, as text and as a document; `problem` says what a person must not overlook, "" for nothing."""

    text: str
    document: Mapping[str, Any]
    problem: str = ""
