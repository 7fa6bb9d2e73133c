"""How far computations came, so that they continue there after they were killed: a folder for each key."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["Unfinished"]


class Unfinished:
    """The folders below `root`, made when they are needed; those of no use any more are left to `pipeline store gc`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        """Return the folder in which a computation keeps how far it came."""
        return self.root / key

    def forget(self, key: str) -> None:
        """Remove the folder of a computation that has ended, as far as that is possible."""
        shutil.rmtree(self.folder(key), ignore_errors=True)
