"""The content digests of the files that a dataset is read from, without reading unchanged files again.

A file is taken as unchanged when its size, times and inode are those of the last look *and* it was last written well
before that look: a file that changed within the clock's granularity would otherwise be missed. Folders are watched in
the same way, so a file that was added to one is seen. All that is remembered can be lost: the files are read again.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.core.experiment import DataSpec, as_json
from pipeline.core.keys import digest_value
from pipeline.store.local import LocalStore
from tinytorch.data import DATASETS

__all__ = ["DataFiles"]

_SETTLED_NS = 2_000_000_000  # older than any file system's time granularity (FAT: 2 s)


class DataFiles:
    """Digests of a dataset's files, by dataset; `code_digest` gives the digest of a module and its imports."""

    def __init__(self, store: LocalStore, code_digest: Callable[[str], str]) -> None:
        self._store = store
        self._code_digest = code_digest

    def digests(self, data: DataSpec) -> Sequence[str]:
        """Return the SHA-256 of each file's content, in the order in which the dataset names its files.

        Raises what the dataset raises when a file is missing or its folder is not one.
        """
        root = None if data.root is None else os.path.abspath(data.root)
        name = digest_value([data.name, root, as_json(data.args), self._code_digest(DATASETS[data.name])])
        known = self._store.recall("data", name)
        if known and all(_stamp(path) == stamp for path, stamp in known["stamps"].items()):
            return list(known["digests"])
        module = importlib.import_module(DATASETS[data.name])
        files = [Path(path) for path in module.files(Path(root) if root else None, **data.args)]
        return self._read(name, files)

    def _read(self, name: str, files: Sequence[Path]) -> list[str]:
        watched = [*files, *sorted({path.parent for path in files})]
        stamps = {str(path): _stamp(str(path)) for path in watched}
        looked_at = time.time_ns()
        digests = [_file_digest(path) for path in files]
        if all(_is_settled(stamp, looked_at) for stamp in stamps.values()):
            self._store.remember("data", {name: {"stamps": stamps, "digests": digests}})
        return digests


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_settled(stamp: Sequence[int] | None, looked_at: int) -> bool:
    return stamp is not None and max(stamp[1], stamp[2]) + _SETTLED_NS < looked_at


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
