"""What a command gives back; printing it is left to `pipeline.cli.main`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer"]


@dataclass(frozen=True)
class Answer:
    """A result as text for a person and as a document for a program; both say the same."""

    text: str
    document: Mapping[str, Any]
    exit_code: int = 0
