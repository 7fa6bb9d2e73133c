"""First-party source files as they lie on disk: which modules they lead to, parsed once for every text.

Imported only when something has changed, or was never looked at: it needs the parser.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeline.core.code import ImportGraph, ModuleFacts, Source, module_facts
from pipeline.core.errors import UserError
from pipeline.core.keys import digest_bytes, digest_value
from pipeline.execute.stamps import Stamps
from pipeline.schemas import schema_path
from pipeline.store.local import LocalStore

__all__ = ["SourceCode", "digest_now"]

# Schemas that a module reads: as much a part of it as its own lines.
_SCHEMAS = {"pipeline.submission.validate": ("submission.v1", "submission.v2", "submission.v2.migrated")}


class SourceCode:
    """The modules whose top-level name `home_of` has a folder for; `reader` names the program that finds them out.

    Every file that is read and every folder that is searched gets its stamp before.
    """

    def __init__(
        self, store: LocalStore, stamps: Stamps, home_of: Callable[[str], str | Path | None], reader: str
    ) -> None:
        self.paths: dict[str, str] = {}
        self._store = store
        self._stamps = stamps
        self._home_of = home_of
        self._reader = reader
        self._graph = ImportGraph(self.facts)
        self._facts_of: dict[str, ModuleFacts | None] = {}
        self._listings: dict[str, frozenset[str]] = {}
        self._new: dict[str, object] = {}

    def closure(self, deep: Iterable[str], alone: Iterable[str]) -> dict[str, str]:
        """Return module -> syntax-tree digest for `deep` with all they import, and `alone`; and the schemas they read.

        Raises LookupError when a module of `deep` is not there, UserError when Python cannot read one.
        """
        found = self._graph.closure(deep)
        found |= {name: facts.digest for name in alone if (facts := self.facts(name))}
        self._store.remember("code", self._new)
        self._new = {}
        files = _schema_files(found)
        return found | {f"schemas/{os.path.basename(path)}": digest_bytes(Path(path).read_bytes()) for path in files}

    def searched(self, closure: Mapping[str, str]) -> list[str]:
        """Return the files and folders besides its modules' own files that a closure depends on, or more."""
        return [*self._listings, *_schema_files(closure)]

    def facts(self, module: str) -> ModuleFacts | None:
        """Return what a module contributes; None if there is none of this name here."""
        if module not in self._facts_of:
            source = self._read(module)
            self._facts_of[module] = self._parse(source) if source else None
        return self._facts_of[module]

    def _parse(self, source: Source) -> ModuleFacts:
        # The name is part of it because relative imports are resolved against it.
        name = digest_value([self._reader, source.module, source.is_package, source.data])
        known = self._store.recall("code", name)
        if known is None:
            facts = _facts_or_complaint(source, self.paths[source.module])
            self._new[name] = [facts.digest, facts.imports, facts.offers, facts.bound]
            return facts
        digest, imports, offers, bound = known
        return ModuleFacts(digest, tuple(imports), tuple(offers), None if bound is None else tuple(bound))

    def _read(self, module: str) -> Source | None:
        *above, name = module.split(".")
        home = self._home_of((above or [name])[0])
        if home is None:
            return None
        folder = os.path.join(home, *above)
        names = self._names(folder)
        files = [(os.path.join(folder, name, "__init__.py"), True)] if name in names else []
        files += [(os.path.join(folder, f"{name}.py"), False)] if f"{name}.py" in names else []
        for path, is_package in files:
            try:
                with open(path, "rb") as file:
                    self._stamps.note(path, os.fstat(file.fileno()))
                    self.paths[module] = path
                    return Source(module, file.read(), is_package)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def _names(self, folder: str) -> frozenset[str]:
        """Return what is in a folder; of the many names that could be modules, most are none."""
        if folder not in self._listings:
            self._stamps.of(folder)  # before it is read
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except (FileNotFoundError, NotADirectoryError):
                self._listings[folder] = frozenset()
        return self._listings[folder]


def digest_now(module: str, path: str) -> str | None:
    """Return the syntax-tree digest of a module's file as it is now; None if Python cannot read it."""
    try:
        with open(path, "rb") as file:
            return module_facts(Source(module, file.read(), os.path.basename(path) == "__init__.py")).digest
    except (OSError, SyntaxError, ValueError):
        return None


def _facts_or_complaint(source: Source, path: str) -> ModuleFacts:
    try:
        return module_facts(source)
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: {error.msg}", hint="Python cannot read this file") from error
    except ValueError as error:  # a null byte
        raise UserError(f"{path}: {error}", hint="Python cannot read this file") from error


def _schema_files(found: Mapping[str, str]) -> list[str]:
    return [str(schema_path(name)) for module in found.keys() & _SCHEMAS.keys() for name in _SCHEMAS[module]]
