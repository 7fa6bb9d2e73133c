"""The modules behind a node as they lie on disk: their digests, the libraries they import, and whether they changed.

A key says which code made a result. The code is read here and imported elsewhere, later and piece by piece, so a file
that is edited during a run could be imported in a form that the key does not mean: `edited` finds that out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

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
Stamp = tuple[int, int, int]


class CodeDigests:
    """Digests of the code that nodes run; parsed modules are remembered by the digest of their source."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        # What is remembered depends on how it was found: by which program, in which version of Python.
        self._reader = digest_value([Path(code.__file__).read_bytes(), *sys.version_info[:2]])
        self._graph = ImportGraph(self._facts)
        self._new: dict[str, object] = {}
        self._facts_of: dict[str, ModuleFacts | None] = {}
        self._stamps: dict[str, tuple[str, Stamp]] = {}
        self._listings: dict[str, frozenset[str]] = {}
        self._in_memory: set[str] = set()
        self._modules: dict[Roots, dict[str, str]] = {}
        self._digests: dict[Roots, str] = {}
        self._libraries: dict[Roots, frozenset[str]] = {}

    def modules(self, node: Node) -> dict[str, str]:
        """Return module -> syntax-tree digest for all first-party code behind a node, and the schemas it reads."""
        return self._closure(_roots(node))

    def module_digest(self, module: str) -> str:
        """Return the digest of one module and all it imports."""
        return closure_digest(self._closure(((module,), (), ())))

    def digest(self, node: Node) -> str:
        """Return the digest of `modules(node)`; the modules are remembered under it, for `changed`."""
        roots = _roots(node)
        if roots not in self._digests:
            modules = self._closure(roots)
            self._digests[roots] = digest = closure_digest(modules)
            if self._store.recall("closure", digest) is None:
                self._store.remember("closure", {digest: modules})
        return self._digests[roots]

    def libraries(self, node: Node) -> frozenset[str]:
        """Return the top-level names of the installed packages that the code behind a node imports."""
        roots = _roots(node)
        if roots not in self._libraries:
            facts = (self._facts(module) for module in self.modules(node))
            names = {name.partition(".")[0] for each in facts if each for name in each.imports}
            self._libraries[roots] = frozenset(names - sys.stdlib_module_names - {"", *FIRST_PARTY})
        return self._libraries[roots]

    def changed(self, before: str, after: str) -> tuple[str, ...]:
        """Name the modules in which two code digests differ; empty when the older one is no longer known."""
        old, new = self._store.recall("closure", before), self._store.recall("closure", after)
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            return ()
        return tuple(name for name in sorted({*old, *new}) if old.get(name) != new.get(name))

    def note_imported(self) -> None:
        """Note which modules are in memory just as their digests say: later edits do not reach this process."""
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

    def _closure(self, roots: Roots) -> dict[str, str]:
        if roots not in self._modules:
            deep, alone, outputs = roots
            found = self._graph.closure(deep)
            found |= {name: facts.digest for name in alone if (facts := self._facts(name))}
            if _STAGES in found:
                found[_STAGES] = digest_value(outputs)
            for module in found.keys() & _SCHEMAS.keys():
                paths = [schema_path(name) for name in _SCHEMAS[module]]
                found |= {f"schemas/{path.name}": digest_bytes(path.read_bytes()) for path in paths}
            self._modules[roots] = found
            self._store.remember("code", self._new)
            self._new = {}
        return self._modules[roots]

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
                    self._stamps[module] = path, _stamp(os.fstat(file.fileno()))
                    return Source(module, file.read(), is_package)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def _names(self, folder: str) -> frozenset[str]:
        """Return what is in a folder; of the many names that could be modules, most are none."""
        if folder not in self._listings:
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
            return module_facts(source) == self._facts_of[module]
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


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino
