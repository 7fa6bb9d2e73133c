"""Models, data sets, passes and metrics of the user's own, in this process: which there are, and whose code they are.

The tables of `tinytorch.models`, `.data` and `.passes` name the module of each entry; for the user's own that is the
module whose code counts, and what it offers under that name is kept here. Nothing is imported by a name in a file:
whoever starts a process adds what he was told to add. Standard library only.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

__all__ = ["KINDS", "OwnEntry", "add_own", "forget_own", "own_entries", "own_module"]

KINDS = ("data", "metrics", "models", "passes")


class OwnEntry(NamedTuple):
    """One entry: `kind` is the table, `module` the dotted name of the code, `offers` what a table's module offers."""

    kind: str
    name: str
    module: str
    offers: ModuleType


_ENTRIES: dict[tuple[str, str], OwnEntry] = {}


def add_own(entry: OwnEntry) -> None:
    """Add an entry to this process; raises ValueError for a kind that is none and a name that is taken."""
    if entry.kind not in KINDS:
        raise ValueError(f"there are entries of the kinds {', '.join(KINDS)}, not {entry.kind!r}")
    if (entry.kind, entry.name) in _ENTRIES:
        raise ValueError(f"there is an entry {entry.name!r} of the kind {entry.kind} already")
    _ENTRIES[entry.kind, entry.name] = entry


def own_module(kind: str, name: str) -> ModuleType | None:
    """Return what an entry of the user's own offers, or None if there is none of this name."""
    entry = _ENTRIES.get((kind, name))
    return entry.offers if entry else None


def own_entries() -> tuple[OwnEntry, ...]:
    """Return all entries, in the order in which they were added."""
    return tuple(_ENTRIES.values())


def forget_own() -> None:
    """Remove all entries, as tests do; the tables that name them are the caller's business."""
    _ENTRIES.clear()
