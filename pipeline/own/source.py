"""Where the user's own code is: files named on the command line, and packages that are installed.

A name is looked up in files and folders only here, never because a document says so. Standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from pipeline.core.code import ImportGraph, ModuleFacts, Source, module_facts
from pipeline.core.errors import UserError
from pipeline.core.keys import digest_value

__all__ = ["OwnSource", "home_of", "own_digest", "own_files", "remember_source", "sources"]

_MOST_FILES = 10_000
_MOST_BYTES = 1 << 28


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
    """Return the SHA-256 of the names and the bytes of all files of `own_files`."""
    return digest_value(own_files(source))


def own_files(source: OwnSource) -> dict[str, str]:
    """Return path -> SHA-256 of all code of a source: a file with all it imports beside it, all of a package."""
    paths = _imported(source) if source.kind == "file" else _installed(source)
    return {os.path.relpath(path, source.folder).replace(os.sep, "/"): _digest(path) for path in sorted(paths)}


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _imported(source: OwnSource) -> set[str]:
    """Return the files of the module and of all beside it that it leads to."""
    read: dict[str, str] = {}

    def facts_of(module: str) -> ModuleFacts | None:
        folder = home_of(module.partition(".")[0])
        if folder != source.folder:
            return None
        base = os.path.join(folder, *module.split("."))
        for path, is_package in ((os.path.join(base, "__init__.py"), True), (f"{base}.py", False)):
            if os.path.isfile(path):
                read[module] = path
                return _facts(Source(module, Path(path).read_bytes(), is_package), path)
        return None

    found = ImportGraph(functools.cache(facts_of)).closure([source.module])
    return {read[module] for module in found}


def _facts(source: Source, path: str) -> ModuleFacts:
    try:
        return module_facts(source)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"{path}{line}: {error}", hint="Python cannot read this file") from error


def _installed(source: OwnSource) -> set[str]:
    """Return the files of an installed package, whatever they are."""
    top = os.path.join(source.folder, source.module.partition(".")[0])
    if os.path.isfile(f"{top}.py"):
        return {f"{top}.py"}
    found, size = set(), 0
    for path in _walk(top):
        found.add(path)
        size += os.path.getsize(path)
        if len(found) > _MOST_FILES or size > _MOST_BYTES:
            raise UserError(
                f"the package {source.name} has more than {_MOST_FILES:,} files or {_MOST_BYTES >> 20} MiB",
                hint="keep data out of it: a data set is read from its root",
            )
    return found


def _walk(folder: str) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (os.path.join(here, name) for name in names if not name.endswith(".pyc"))
