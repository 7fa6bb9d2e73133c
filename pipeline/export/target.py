"""What an export is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import digest_bytes
from pipeline.store.record import Record

__all__ = ["Exported", "Reader", "Source"]


class Reader(Protocol):
    """A store, as far as an export needs it."""

    def get(self, key: str) -> Record | None: ...

    def read(self, digest: str) -> bytes: ...


@dataclass(frozen=True)
class Source:
    """A finished run: its submission, which is valid by its schema, and the store that has what it names.

    `folder` is where the run's files are, None if there are none; `nodes` are its record's, as somebody may have
    written them: outcome, label and reason are texts, the rest is to be checked.
    """

    submission: Mapping[str, Any]
    store: Reader
    folder: Path | None = None
    nodes: Sequence[Mapping[str, Any]] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the submission's file; raises EnvironmentProblem where there is none to read."""
        try:
            return digest_bytes(((self.folder or Path()) / "submission.json").read_bytes())
        except OSError as error:
            raise EnvironmentProblem(f"the run's submission.json cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Exported:
    """What was written, as text and as a document; `problem` says what a person must not overlook, "" for nothing."""

    text: str
    document: Mapping[str, Any]
    problem: str = ""
