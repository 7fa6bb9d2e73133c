"""Stamps of files and folders: what the system changes with their content (times, size, inode)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

__all__ = ["Stamp", "Stamps", "stamp_of"]

Stamp = tuple[int, int, int, int]  # modification and change time in nanoseconds, size in bytes, inode

_SETTLED_NS = 2_000_000_000  # older than any file system's time granularity (FAT: 2 s)


class Stamps:
    """The stamp of each path as it was when it was first asked for."""

    def __init__(self) -> None:
        self._looked_at = time.time_ns()
        self._known: dict[str, Stamp | None] = {}

    def of(self, path: str) -> Stamp | None:
        """Return a path's stamp; None if nothing is there."""
        if path not in self._known:
            try:
                self._known[path] = stamp_of(os.stat(path))
            except OSError:
                self._known[path] = None
        return self._known[path]

    def note(self, path: str, status: os.stat_result) -> None:
        """Take the stamp of an open file, whose content is the one that will be read."""
        self._known[path] = stamp_of(status)

    def are_settled(self, paths: Iterable[str]) -> bool:
        """Tell whether all were last changed so long before the first look that any later change gives other stamps."""
        stamps = map(self.of, paths)
        return all(stamp is None or max(stamp[:2]) + _SETTLED_NS < self._looked_at for stamp in stamps)


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of what has this status."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
