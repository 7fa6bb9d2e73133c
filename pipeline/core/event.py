"""What the scheduler tells the outside while it works; events flow outwards only."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Event", "Outcome"]


class Outcome(Enum):
    """How a node ended, or what will become of it."""

    CACHED = "cached"
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"  # something that feeds it failed


class Event(NamedTuple):
    """A node started (`outcome` None), said something while it works (`said`, and `outcome` None), or ended.

    `seconds` is its own work, `note` a reason or a failure's message, `error` the failure's traceback. A node that
    `measures` runs alone. One that is tried again starts again, with a higher `attempt` and the reason. `key` is its
    action key, as far as it is known.
    """

    node: str
    label: str
    outcome: Outcome | None
    reason: str = ""
    seconds: float = 0.0
    note: str = ""
    said: str = ""
    measures: bool = False
    attempt: int = 1
    error: str = ""
    key: str = ""
