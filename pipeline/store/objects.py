"""Files named by the SHA-256 of their content: written whole or not at all, read only when they still match."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline.core.keys import digest_bytes

__all__ = ["CorruptObject", "Objects", "write_atomically"]


class CorruptObject(Exception):
    """A stored file is missing or no longer what its name says; a damaged one has been moved to `quarantine/`."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(f"object {digest[:12]}: {problem}")
        self.digest = digest


class Objects:
    """The `objects/` folder of a store: `objects/ab/cdef…`, read-only files."""

    def __init__(self, root: Path) -> None:
        self._root = root / "objects"
        self._quarantine = root / "quarantine"
        self._tmp = root / "tmp"

    def path(self, digest: str) -> Path:
        """Return where an object lies or would lie."""
        return self._root / digest[:2] / digest[2:]

    def has(self, digest: str, size: int) -> bool:
        """Tell whether the object is there with this size: one `stat`, its content is checked when it is read."""
        try:
            return os.stat(os.path.join(self._root, digest[:2], digest[2:])).st_size == size
        except (FileNotFoundError, NotADirectoryError):
            return False

    def read(self, digest: str) -> bytes:
        """Return the object's bytes; raises CorruptObject when it is missing or its content has another digest."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise CorruptObject(digest, "it is missing") from None
        if digest_bytes(data) != digest:
            moved = "; it was moved to quarantine" if self._set_aside(path) else ""
            raise CorruptObject(digest, f"its content does not match its name{moved}")
        return data

    def write(self, data: bytes) -> str:
        """Store `data` durably and return its digest. An object that is already there with this content is kept."""
        digest = digest_bytes(data)
        path = self.path(digest)
        if self.has(digest, len(data)) and path.read_bytes() == data:
            return digest
        if path.exists():
            self._set_aside(path)
        write_atomically(path, data, tmp=self._tmp, mode=0o444)
        return digest

    def _set_aside(self, path: Path) -> bool:
        try:
            self._quarantine.mkdir(parents=True, exist_ok=True)
            os.replace(path, self._quarantine / (path.parent.name + path.name))
        except OSError:  # another process has just done it, or the store is read-only
            return False
        return True


def write_atomically(
    path: Path, data: bytes, *, tmp: Path | None = None, mode: int = 0o644, durable: bool = True
) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    The temporary file lies in `tmp` (same file system) or beside the target. It is flushed to disk before the rename,
    unless a power cut may cost this file (`durable` false): that takes longer than all of a run with nothing to do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = tmp or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    # Random, not counted: a process that was killed may have left a file, and its id comes again.
    name = folder / f".writing-{os.urandom(8).hex()}"
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
