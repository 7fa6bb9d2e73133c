"""Files named by the SHA-256 of their content: written whole or not at all, read only when they still match."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.keys import digest_bytes

__all__ = ["CorruptObject", "Objects", "make_folder", "set_aside", "stored_files", "write_atomically"]

_ATTEMPTS = 3  # at a write whose folder is deleted between making and using it


class CorruptObject(Exception):
    """A stored file is missing or no longer what its name says; a damaged one has been moved to `quarantine/`."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(f"object {digest[:12]}: {problem}")
        self.digest = digest
        self.problem = problem

    def __reduce__(self) -> tuple[type[CorruptObject], tuple[str, str]]:
        """Keep the digest when the error crosses a process boundary."""
        return CorruptObject, (self.digest, self.problem)


class Objects:
    """The `objects/` folder of a store: `objects/ab/cdef…`, read-only files."""

    def __init__(self, root: Path) -> None:
        self._store = root
        self._root = os.path.join(root, "objects", "")
        self._tmp = root / "tmp"

    def path(self, digest: str) -> Path:
        """Return where an object lies or would lie."""
        return Path(self._path(digest))

    def has(self, digest: str, size: int) -> bool:
        """Tell whether the object is there with this size: one `stat`, its content is checked when it is read."""
        try:
            return os.stat(self._path(digest)).st_size == size
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _path(self, digest: str) -> str:
        return f"{self._root}{digest[:2]}/{digest[2:]}"

    def read(self, digest: str) -> bytes:
        """Return the object's bytes; raises CorruptObject when it is missing or its content has another digest."""
        path = self._path(digest)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise CorruptObject(digest, "it is missing") from None
        if digest_bytes(data) != digest:
            moved = "; it was moved to quarantine" if set_aside(self._store, Path(path), digest) else ""
            raise CorruptObject(digest, f"its content does not match its name{moved}")
        return data

    def is_sound(self, digest: str) -> bool:
        """Read an object in pieces; tell whether its content still is what its name says. Raises OSError."""
        with open(self.path(digest), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest

    def write(self, data: bytes, *, durable: bool = True) -> str:
        """Store `data` and return its digest; flush it to disk before it counts as there, if `durable`.

        An object that is already there with this content is kept, and counts as new: nobody who collects garbage may
        take it for old before the record that will name it is written.
        """
        digest = digest_bytes(data)
        path = self._path(digest)
        try:
            with open(path, "rb") as file:
                is_there = file.read() == data
                if is_there and durable:
                    os.fsync(file.fileno())  # whoever wrote it had less to lose
        except FileNotFoundError:
            pass
        else:
            if is_there:
                with contextlib.suppress(OSError):  # nothing is collected from a store that cannot be written
                    os.utime(path)
                return digest
            set_aside(self._store, Path(path), digest)
        write_atomically(path, data, tmp=self._tmp, mode=0o444, durable=durable)
        return digest


def set_aside(root: Path, path: Path, name: str) -> bool:
    """Move a damaged file of the store to its `quarantine/`, under a name that is free; tell whether that was done."""
    folder = root / "quarantine"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / name
        if target.exists():
            target = folder / f"{name}.{os.urandom(4).hex()}"
        os.utime(path)  # from now on it counts as long set aside
        os.replace(path, target)
    except OSError:  # another process has just done it, or the store is read-only
        return False
    return True


def stored_files(folder: Path, suffix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield digest and entry of each file `ab/cdef…<suffix>` in a folder of the store; other names are not ours."""
    rest = re.compile(f"[0-9a-f]{{62}}{re.escape(suffix)}")
    for part in _entries(folder):
        if re.fullmatch("[0-9a-f]{2}", part.name):
            for entry in _entries(Path(part.path)):
                if rest.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    yield part.name + entry.name.removesuffix(suffix), entry


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def write_atomically(
    path: str | Path, data: bytes, *, tmp: Path | None = None, mode: int = 0o644, durable: bool = True
) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    The temporary file lies in `tmp` (same file system) or beside the target. It is flushed to disk before the rename,
    unless a power cut may cost this file (`durable` false): that takes longer than all of a run with nothing to do.
    A folder that somebody deletes meanwhile is made again.
    """
    where = os.fspath(path)
    folder = os.fspath(tmp) if tmp else os.path.dirname(where) or os.curdir
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _write_once(where, data, folder, mode, durable)
        except FileNotFoundError:
            if attempt == _ATTEMPTS:
                raise
            make_folder(folder)
        else:
            return


def make_folder(folder: str) -> None:
    """Make a folder that mostly is there, even if somebody deletes those above it meanwhile."""
    # For a quick node, `pathlib` would take as long as all the rest, and `mkdir` waits for whoever writes to a disk.
    if os.path.isdir(folder):
        return
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            os.mkdir(folder)
        except FileExistsError:
            return
        except FileNotFoundError:
            above = os.path.dirname(folder)
            if attempt == _ATTEMPTS or not above:
                raise
            make_folder(above)
        else:
            return


def _write_once(path: str, data: bytes, tmp: str, mode: int, durable: bool) -> None:
    make_folder(os.path.dirname(path) or os.curdir)
    # Random, not counted: a process that was killed may have left a file, and its id comes again.
    name = os.path.join(tmp, f".writing-{os.urandom(8).hex()}")
    try:
        with open(name, "xb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
