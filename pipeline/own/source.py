"""Where the user's own code is: files named on the command line, and packages that are installed.

A name is looked up in files and folders only here, never because a document says so. Standard library only.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from importlib.machinery import PathFinder
from typing import NamedTuple

from pipeline.core.keys import digest_value

__all__ = ["OwnSource", "home_of", "own_digest", "own_files", "remember_source", "sources"]


class OwnSource(NamedTuple):
    """A file or a package: `told` is what `--use` takes, `module` its dotted name, `folder` where that is found."""

    kind: str  # "file" or "package"
    name: str
    told: str
    module: str
    folder: str
    version: str | None = None


_SOURCES: list[OwnSource] = []


def sources() -> tuple[OwnSource, ...]:
    """Return the files and packages in use, in the order in which they were told of."""
    return tuple(_SOURCES)


def remember_source(source: OwnSource | None) -> None:
    """Take note of a file or package in use; None forgets all of them, as tests do."""
    if source is None:
        _SOURCES.clear()
    elif source not in _SOURCES:
        _SOURCES.append(source)
    home_of.cache_clear()


@functools.cache
def home_of(top: str) -> str | None:
    """Return the folder of a module that is the user's own, by the first part of its name; None for all others.

    Beside a file that is in use, every module is; one that Python finds elsewhere first is not the one beside it.
    """
    for source in _SOURCES:
        if source.kind == "package" and top == source.module.partition(".")[0]:
            return source.folder
        if source.kind == "file" and _is_beside(top, source.folder):
            return source.folder
    return None


def _is_beside(top: str, folder: str) -> bool:
    if not os.path.isfile(os.path.join(folder, f"{top}.py")) and not os.path.isdir(os.path.join(folder, top)):
        return False
    if top in sys.stdlib_module_names:
        return False
    elsewhere = [path for path in sys.path if os.path.realpath(path) != folder]
    found = PathFinder.find_spec(top, elsewhere)
    return found is None or found.origin is None


def own_digest(source: OwnSource) -> str:
    """Return the SHA-256 of the names and the digests of all files of `own_files`."""
    return digest_value(own_files(source))


def own_files(source: OwnSource) -> dict[str, str]:
    """Return path -> SHA-256 of all code of a source: a file with all it imports beside it, all of a package."""
    # By name: it needs the parser, and is not needed where there is no code of the user's own.
    found: dict[str, str] = importlib.import_module("pipeline.own.files").files_of(source)
    return found
