"""The modules behind a node as they lie on disk: their digests, the libraries they import, and whether they changed.

A key says which code made a result. The code is read here and imported elsewhere, later and piece by piece, so a file
that is edited during a run could be imported in a form that the key does not mean: `edited` finds that out.

What was found is remembered with the stamps (times, size, inode) of all files that were read and of all folders that
were searched. As long as they are the same, and were settled when they were looked at (`pipeline.execute.sources`),
nothing is read again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core import code
from pipeline.core.code import ImportGraph, ModuleFacts, Source, closure_digest, module_facts
from pipeline.core.errors import UserError
from pipeline.core.keys import digest_bytes, digest_value
from pipeline.core.plan import Node
from pipeline.schemas import schema_path
from pipeline.store.local import LocalStore

__all__ = ["CodeDigests", "FIRST_PARTY", "PROJECT"]

FIRST_PARTY = ("pipeline", "tinytorch")
PROJECT = Path(__file__).resolve().parents[2]

# Schemas that a module reads: as much a part of it as its own lines.
_SCHEMAS = {"pipeline.submission.validate": ("submission.v1", "submission.v2")}

# The table of stages is imported with every stage, and counts by the line in use: of it, what a node gives.
_STAGES = "pipeline.stages"

# A node's code_roots, its writers, and its outputs with their codecs.
Roots = tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]
Stamp = tuple[int, int, int, int]

_SETTLED_NS = 2_000_000_000  # older than any file system's time granularity (FAT: 2 s)


class _Closure(NamedTuple):
    """All code behind a node: its digest, and the top-level names of the installed packages that it imports."""

    digest: str
    libraries: frozenset[str]


class CodeDigests:
    """Digests of the code that nodes run; parsed modules are remembered by the digest of their source."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        # What is remembered depends on how it was found: by which program, in which version of Python.
        self._reader = digest_value([Path(code.__file__).read_bytes(), *sys.version_info[:2]])
        self._looked_at = time.time_ns()
        self._graph = ImportGraph(self._facts)
        self._new: dict[str, object] = {}
        self._facts_of: dict[str, ModuleFacts | None] = {}
        self._stamps: dict[str, tuple[str, Stamp]] = {}
        self._known_digests: dict[str, str] = {}  # of modules that were not read, because their stamp is as it was
        self._listings: dict[str, frozenset[str]] = {}
        self._seen: dict[str, Stamp | None] = {}  # path -> its stamp, of all that was read, searched or compared
        self._in_memory: set[str] = set()
        self._noted = 0, 0
        self._modules: dict[Roots, dict[str, str]] = {}
        self._closures: dict[Roots, _Closure] = {}

    def modules(self, node: Node) -> dict[str, str]:
        """Return module -> syntax-tree digest for all first-party code behind a node, and the schemas it reads."""
        roots = _roots(node)
        if roots not in self._modules:
            known = self._store.recall("closure", self._closure(roots).digest)
            self._modules[roots] = known if isinstance(known, dict) else self._found(roots)
        return self._modules[roots]

    def module_digest(self, module: str) -> str:
        """Return the digest of one module and all it imports."""
        return self._closure(((module,), (), ())).digest

    def digest(self, node: Node) -> str:
        """Return the digest of `modules(node)`; the modules are remembered under it, for `changed`."""
        return self._closure(_roots(node)).digest

    def libraries(self, node: Node) -> frozenset[str]:
        """Return the top-level names of the installed packages that the code behind a node imports."""
        return self._closure(_roots(node)).libraries

    def changed(self, before: str, after: str) -> tuple[str, ...]:
        """Name the modules in which two code digests differ; empty when the older one is no longer known."""
        old, new = self._store.recall("closure", before), self._store.recall("closure", after)
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            return ()
        return tuple(name for name in sorted({*old, *new}) if old.get(name) != new.get(name))

    def note_imported(self) -> None:
        """Note which modules are in memory just as their digests say: later edits do not reach this process."""
        size = len(self._stamps), len(sys.modules)
        if size == self._noted:
            return
        self._noted = size
        for module in self._stamps.keys() & sys.modules.keys() - self._in_memory:
            if self._is_as_read(module):
                self._in_memory.add(module)

    def edited(self, node: Node, *, in_new_process: bool) -> tuple[str, ...]:
        """Name the modules behind a node that may have run in another form than their digest says.

        A stage that starts a new process imports everything again, whatever is in this process's memory.
        """
        self.note_imported()
        trusted: set[str] = set() if in_new_process else self._in_memory
        return tuple(m for m in self.modules(node) if m not in trusted and not self._is_as_read(m))

    def _closure(self, roots: Roots) -> _Closure:
        if roots not in self._closures:
            name = digest_value([self._reader, str(PROJECT), FIRST_PARTY, roots])
            self._closures[roots] = self._remembered(name) or self._computed(name, roots)
        return self._closures[roots]

    def _remembered(self, name: str) -> _Closure | None:
        """Return what was found before if every file and folder is as it was then."""
        known = self._store.recall("code behind", name)
        if known is None:
            return None
        modules: Mapping[str, list[Any]] = known["modules"]
        if any(self._seen_stamp(path) != tuple(stamp) for path, stamp, _ in modules.values()):
            return None
        if any(self._seen_stamp(path) != (tuple(stamp) if stamp else None) for path, stamp in known["others"].items()):
            return None
        for module, (path, stamp, digest) in modules.items():
            if module not in self._stamps:
                first, second, third, fourth = stamp
                self._stamps[module] = path, (first, second, third, fourth)
                self._known_digests[module] = digest
        return _Closure(known["digest"], frozenset(known["libraries"]))

    def _computed(self, name: str, roots: Roots) -> _Closure:
        found = self._modules[roots] = self._found(roots)
        facts = {module: each for module in found if (each := self._facts(module))}
        names = {name.partition(".")[0] for each in facts.values() for name in each.imports}
        libraries = frozenset(names - sys.stdlib_module_names - {"", *FIRST_PARTY})
        closure = _Closure(closure_digest(found), libraries)
        modules = {module: (*self._stamps[module], facts[module].digest) for module in facts}
        others = {path: self._seen_stamp(path) for path in (*self._listings, *_schema_files(found))}
        stamps = [*(stamp for _, stamp, _ in modules.values()), *others.values()]
        if all(stamp is None or max(stamp[:2]) + _SETTLED_NS < self._looked_at for stamp in stamps):
            known = {"modules": modules, "others": others, "digest": closure.digest, "libraries": sorted(libraries)}
            self._store.remember("code behind", {name: known})
        if self._store.recall("closure", closure.digest) is None:
            self._store.remember("closure", {closure.digest: found})
        self._store.remember("code", self._new)
        self._new = {}
        return closure

    def _found(self, roots: Roots) -> dict[str, str]:
        deep, alone, outputs = roots
        found = self._graph.closure(deep)
        found |= {name: facts.digest for name in alone if (facts := self._facts(name))}
        if _STAGES in found:
            found[_STAGES] = digest_value(outputs)
        files = _schema_files(found)
        return found | {f"schemas/{os.path.basename(path)}": digest_bytes(Path(path).read_bytes()) for path in files}

    def _seen_stamp(self, path: str) -> Stamp | None:
        """Return a file's or folder's stamp as it was when it was first asked for."""
        if path not in self._seen:
            try:
                self._seen[path] = _stamp(os.stat(path))
            except OSError:
                self._seen[path] = None
        return self._seen[path]

    def _facts(self, module: str) -> ModuleFacts | None:
        if module not in self._facts_of:
            source = self._read(module)
            self._facts_of[module] = self._parse(source) if source else None
        return self._facts_of[module]

    def _parse(self, source: Source) -> ModuleFacts:
        # The name is part of it because relative imports are resolved against it.
        name = digest_value([self._reader, source.module, source.is_package, source.data])
        known = self._store.recall("code", name)
        if known is None:
            facts = _facts_or_complaint(source, self._stamps[source.module][0])
            self._new[name] = [facts.digest, facts.imports, facts.offers, facts.bound]
            return facts
        digest, imports, offers, bound = known
        return ModuleFacts(digest, tuple(imports), tuple(offers), None if bound is None else tuple(bound))

    def _read(self, module: str) -> Source | None:
        *above, name = module.split(".")
        if (above or [name])[0] not in FIRST_PARTY:
            return None
        folder = os.path.join(PROJECT, *above)
        names = self._names(folder)
        files = [(os.path.join(folder, name, "__init__.py"), True)] if name in names else []
        files += [(os.path.join(folder, f"{name}.py"), False)] if f"{name}.py" in names else []
        for path, is_package in files:
            try:
                with open(path, "rb") as file:
                    stamp = self._seen[path] = _stamp(os.fstat(file.fileno()))
                    self._stamps[module] = path, stamp
                    return Source(module, file.read(), is_package)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def _names(self, folder: str) -> frozenset[str]:
        """Return what is in a folder; of the many names that could be modules, most are none."""
        if folder not in self._listings:
            self._seen_stamp(folder)  # before it is read
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except (FileNotFoundError, NotADirectoryError):
                self._listings[folder] = frozenset()
        return self._listings[folder]

    def _is_as_read(self, module: str) -> bool:
        if module not in self._stamps:  # a schema: it is read with the code that uses it
            return True
        path, stamp = self._stamps[module]
        try:
            if _stamp(os.stat(path)) == stamp:
                return True
            with open(path, "rb") as file:
                source = Source(module, file.read(), os.path.basename(path) == "__init__.py")
            facts, known = module_facts(source), self._facts_of.get(module)
            return facts == known if known else facts.digest == self._known_digests.get(module)
        except (OSError, SyntaxError, ValueError):
            return False


def _roots(node: Node) -> Roots:
    return node.code_roots, node.writers, tuple(sorted(node.outputs.items()))


def _facts_or_complaint(source: Source, path: str) -> ModuleFacts:
    try:
        return module_facts(source)
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: {error.msg}", hint="Python cannot read this file") from error
    except ValueError as error:  # a null byte
        raise UserError(f"{path}: {error}", hint="Python cannot read this file") from error


def _schema_files(found: Mapping[str, str]) -> list[str]:
    return [str(schema_path(name)) for module in found.keys() & _SCHEMAS.keys() for name in _SCHEMAS[module]]


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
