"""Read data files that may be missing, truncated, oversized, gzip-compressed or not what they claim to be.

Nothing is read beyond the size the caller expects and nothing outside of the data set's root; every problem is a
`DataFileError`: path, what was found, what was expected. The formats themselves are parsed by the data sets.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from tinytorch.errors import NOTHING_THERE, DataFileError

__all__ = ["find", "inside", "open_data", "read_end", "read_exactly", "require_folder"]

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20  # a header that lies about its size costs at most this much more than the bytes that are there


def require_folder(root: Path | None, name: str, holds: str) -> Path:
    """Return `root` with links resolved.

    Raises DataFileError if it is missing or not a folder, ValueError if it is None.
    """
    if root is None:
        raise ValueError(f"{name} needs a root: the folder with {holds}")
    if not root.is_dir():
        raise DataFileError(root, "a file" if root.exists() else NOTHING_THERE, f"a folder with {holds}")
    return root.resolve()


def inside(root: Path, path: Path) -> Path:
    """Return `path`; raises DataFileError if it (links followed) leaves `root`, which must be resolved."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise DataFileError(path, _reason(error), "a readable file") from error
    if not target.is_relative_to(root):
        raise DataFileError(path, "a link that leaves the data set's folder", f"a file inside {root}")
    return path


def find(root: Path, names: Sequence[str]) -> Path:
    """Return the first of `names` that exists in the resolved folder `root`.

    Raises DataFileError if none does, or if it is no file: a pipe would be waited for.
    """
    for name in names:
        path = root / name
        if path.exists() or path.is_symlink():
            if not inside(root, path).is_file():
                raise DataFileError(path, "a folder" if path.is_dir() else "no regular file", "a file")
            return path
    expected = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    raise DataFileError(root, f"no {names[0]}", expected)


@contextmanager
def open_data(path: Path, expected: str) -> Iterator[IO[bytes]]:
    """Open `path` for reading, through gzip if its first bytes say so; read errors become DataFileError(expected)."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield cast("IO[bytes]", stream)
            else:
                yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(path, f"broken gzip data ({_reason(error)})", expected) from error
    except OSError as error:
        raise DataFileError(path, _reason(error), expected) from error


def read_exactly(stream: IO[bytes], size: int, path: Path, expected: str) -> bytearray:
    """Return the next `size` bytes; raises DataFileError if there are fewer."""
    data = bytearray()  # joining chunks would take twice the memory
    while len(data) < size:
        chunk = stream.read(min(size - len(data), _CHUNK))
        if not chunk:
            raise DataFileError(path, f"{len(data)} bytes where {size} should be", expected)
        data += chunk
    return data


def read_end(stream: IO[bytes], path: Path, expected: str) -> None:
    """Check that nothing follows; raises DataFileError if something does."""
    if stream.read(1):
        raise DataFileError(path, "more bytes after the end of the data", expected)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return " ".join(text.lower().split())
