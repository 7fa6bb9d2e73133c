"""The files of the user's own code, and their digests: of a file with all that it imports beside it, of a package all.

Imported only where there is such code: it needs the parser.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.code import ImportGraph, ModuleFacts, Source, module_facts
from pipeline.core.errors import UserError
from pipeline.own.source import OwnSource, home_of

__all__ = ["files_of"]

_MOST_FILES = 10_000
_MOST_BYTES = 1 << 28


def files_of(source: OwnSource) -> dict[str, str]:
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
