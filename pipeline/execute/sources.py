"""The content digests of the files that a dataset is read from, without reading unchanged files again.

A file is taken as unchanged when its size, times and inode are those of the last look *and* it was last written well
before that look: a file that changed within the clock's granularity would otherwise be missed. Folders are watched in
the same way, so a file that was added to one is seen. All that is remembered can be lost: the files are read again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.core.experiment import DataSpec, as_json
from pipeline.core.keys import digest_value
from pipeline.store.local import LocalStore
from tinytorch.data import DATASETS, load_dataset_module
from tinytorch.errors import DataFileError

__all__ = ["DataFiles"]

_MOST_NAMED = 1000  # files; the 60,000 pictures of CIFAR-10 made records of 5.5 MB
_SETTLED_NS = 2_000_000_000  # older than any file system's time granularity (FAT: 2 s)


class DataFiles:
    """Digests of a dataset's files, by dataset; `code_digest` gives the digest of a module and its imports."""

    def __init__(self, store: LocalStore, code_digest: Callable[[str], str]) -> None:
        self._store = store
        self._code_digest = code_digest

    def digests(self, data: DataSpec) -> dict[str, str]:
        """Return path within the dataset's folder -> SHA-256 of the content, for every file; very many have one entry.

        The path belongs to the content: a class is named by its folder. Raises what the dataset raises when a file is
        missing or its folder is not one.
        """
        root = None if data.root is None else os.path.realpath(data.root)  # a link may point elsewhere by now
        here = root or os.path.dirname(__file__)
        name = digest_value([data.name, here, as_json(data.args), self._code_digest(DATASETS[data.name])])
        known = self._store.recall("data", name)
        if known and all(_stamp(path) == stamp for path, stamp in known["stamps"].items()):
            return dict(known["digests"])
        module = load_dataset_module(data.name)
        base = Path(root) if root else None
        files = [Path(path) for path in module.files(base, **data.args)]
        return self._read(name, base, files)

    def _read(self, name: str, root: Path | None, files: Sequence[Path]) -> dict[str, str]:
        stamps = {path: _stamp(path) for path in _watched(root, files)}
        looked_at = time.time_ns()
        digests = _together({_within(root, path): _file_digest(path) for path in files})
        if all(_is_settled(stamp, looked_at) for stamp in stamps.values()):
            self._store.remember("data", {name: {"stamps": stamps, "digests": digests}})
        return digests


def _together(digests: dict[str, str]) -> dict[str, str]:
    """Return one digest of very many: they would be repeated in each record that they are a part of."""
    return {f"{len(digests)} files": digest_value(digests)} if len(digests) > _MOST_NAMED else digests


def _watched(root: Path | None, files: Sequence[Path]) -> list[str]:
    """Return the files and every folder between them and the root: a new file changes its folder's time."""
    folders = {folder for path in files for folder in path.parents if root and folder.is_relative_to(root)}
    return [str(path) for path in (*files, *sorted(folders))]


def _within(root: Path | None, path: Path) -> str:
    return path.relative_to(root).as_posix() if root else path.name


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_settled(stamp: Sequence[int] | None, looked_at: int) -> bool:
    return stamp is not None and max(stamp[1], stamp[2]) + _SETTLED_NS < looked_at


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataFileError(path, (error.strerror or str(error)).lower(), "a readable file") from error
