"""Who uses what: the run folders that need a store's results, and on which day a result was last taken from it.

    uses/<id>/folder      the path of a run folder (relative where it lies beside the store), which names what it needs
    uses/<id>/2026-11-22  the keys that runs into this folder found in the store on this day (UTC), one a line

Without these notes only the day on which a result was made would be known, and garbage collection beside a running
command could not know what that has found. Every note can be lost: at worst something is computed again. They are read
by `pipeline.store.census`.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from pipeline.core.event import Event, Outcome
from pipeline.core.keys import digest_bytes

__all__ = ["UseNotes", "lines_of"]

_DAY = "%Y-%m-%d"


class UseNotes:
    """Notes of one run into a folder: which keys it found in the store. What was noted is on disk after `flush`.

    As a receiver of events it notes what is cached, and writes that down before anything is computed.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._path = _portable(root, folder)
        self._home = root / "uses" / digest_bytes(os.fsencode(self._path))[:16]
        self._pending: list[str] = []
        self._written: set[str] | None = None

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if event.outcome is Outcome.CACHED:
            self.note(event.key)
        elif event.outcome is None and self._pending:
            self.flush()

    def note(self, key: str) -> None:
        """Note that the result under this key is used."""
        self._pending.append(key)

    def flush(self) -> None:
        """Write what is new; a store that cannot be written, or that is gone, needs no notes."""
        if not self._root.is_dir():
            return
        with contextlib.suppress(OSError):
            day = self._home / time.strftime(_DAY, time.gmtime())
            if self._written is None:
                self._written = lines_of(day)
                self._register()
            if new := [key for key in self._pending if key not in self._written]:
                self._written.update(new)
                with open(day, "ab", buffering=0) as file:  # one write: two runs do not tear each other's lines
                    file.write("".join(f"{key}\n" for key in new).encode())
        self._pending.clear()

    def _register(self) -> None:
        if not (self._home / "folder").exists():
            self._home.parent.mkdir(exist_ok=True)  # but not the store: somebody may just be deleting it
            self._home.mkdir(exist_ok=True)
            (self._home / "folder").write_bytes(os.fsencode(self._path))


def lines_of(note: Path) -> set[str]:
    """Return the keys in a note of a day; none where there is no such note."""
    try:
        return set(note.read_text("ascii", "replace").split())
    except OSError:
        return set()


def _portable(root: Path, folder: Path) -> str:
    """Return a path that stays right when a project is moved together with its store."""
    there, home = folder.resolve(), root.resolve()
    return os.path.relpath(there, home) if there.is_relative_to(home.parent) else os.fspath(there)
