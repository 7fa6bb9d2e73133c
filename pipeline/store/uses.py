"""Who uses what: the run folders that need a store's results, and on which day a result was last taken from it.

    uses/<id>/folder      the path of a run folder (relative where it lies beside the store), which names what it needs
    uses/<id>/2026-11-22  the keys that runs into this folder found in the store on this day (UTC), one a line

Without these notes only the day on which a result was made would be known, and garbage collection beside a running
command could not know what that has found. Every note can be lost: at worst something is computed again.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.event import Event, Outcome
from pipeline.core.keys import digest_bytes

__all__ = ["UseNotes", "noted_days", "noted_folders"]

_DAY = "%Y-%m-%d"
_DAY_NAME = re.compile(r"\d{4}-\d\d-\d\d")
_DAY_S = 86_399


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
                self._written = _lines(day)
                self._register()
            if new := [key for key in self._pending if key not in self._written]:
                self._written.update(new)
                with open(day, "ab", buffering=0) as file:  # one write: two runs do not tear each other's lines
                    file.write("".join(f"{key}\n" for key in new).encode())
        self._pending.clear()

    def _register(self) -> None:
        if not (self._home / "folder").exists():
            self._home.mkdir(parents=True, exist_ok=True)
            (self._home / "folder").write_bytes(os.fsencode(self._path))


def noted_folders(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each run folder that was noted in the store, there or not, with the folder of its notes."""
    for note in (root / "uses").glob("*/folder"):
        with contextlib.suppress(OSError):
            yield Path(os.path.normpath(root.resolve() / os.fsdecode(note.read_bytes()))), note.parent


def noted_days(root: Path) -> Iterator[tuple[Path, float, frozenset[str]]]:
    """Yield each note of a day, when that day ended (seconds since the epoch), and the keys that were used on it."""
    for path in (root / "uses").glob("*/*-*-*"):
        if _DAY_NAME.fullmatch(path.name):
            with contextlib.suppress(ValueError):  # 2026-99-99
                ended = calendar.timegm(time.strptime(path.name, _DAY)) + _DAY_S
                yield path, float(ended), frozenset(_lines(path))


def _portable(root: Path, folder: Path) -> str:
    """Return a path that stays right when a project is moved together with its store."""
    there, home = folder.resolve(), root.resolve()
    return os.path.relpath(there, home) if there.is_relative_to(home.parent) else os.fspath(there)


def _lines(path: Path) -> set[str]:
    try:
        return set(path.read_text("ascii", "replace").split())
    except OSError:
        return set()
