"""One input of the fuzzer: the files of a folder, as values that can be made, written, read back and made smaller."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

__all__ = ["PIPE", "Files", "Link", "read_files", "write_files"]


class Link(str):
    """A symbolic link's target."""


PIPE = None  # a named pipe: whoever opens it waits for a writer that never comes

# path in the folder -> what is there
Files: TypeAlias = "dict[str, bytes | Link | None]"


def write_files(files: Files, folder: Path) -> None:
    """Write an input into an empty folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is PIPE:
            os.mkfifo(path)
        elif isinstance(content, Link):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def read_files(folder: Path) -> Files:
    """Return the input that a folder holds, the inverse of `write_files`."""
    files: Files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            files[name] = Link(os.readlink(path))
        elif path.is_file():
            files[name] = path.read_bytes()
        elif not path.is_dir():
            files[name] = PIPE
    return files
