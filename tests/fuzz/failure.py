"""What must not happen, whatever a file holds."""

from __future__ import annotations

__all__ = ["Failure"]


class Failure(Exception):
    """A check that went wrong. `kind` is the same for failures of one cause, `detail` is for a person."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail
