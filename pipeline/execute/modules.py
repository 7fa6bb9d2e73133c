"""The modules behind a node as they lie on disk: their digests, the libraries they import, and whether they changed.

A key says which code made a result. The code is read here and imported elsewhere, later and piece by piece, so a file
that is edited during a run could be imported in a form that the key does not mean: `edited` finds that out.

What was found is remembered with the stamps (times, size, inode) of all files that were read and of all folders that
were searched. As long as they are the same, and were settled when they were looked at (`pipeline.execute.sources`),
nothing is read again.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.keys import digest_value
from pipeline.core.plan import Node
from pipeline.execute.stamps import Stamp, Stamps, stamp_of
from pipeline.own.source import OwnSource, home_of, own_digest, sources
from pipeline.store.local import LocalStore

if TYPE_CHECKING:
    from pipeline.execute.source_code import SourceCode

__all__ = ["CodeDigests", "FIRST_PARTY", "PROJECT"]

FIRST_PARTY = ("pipeline", "tinytorch")
PROJECT = Path(__file__).resolve().parents[2]

# The table of stages is imported with every stage, and counts by the line in use: of it, what a node gives.
_STAGES = "pipeline.stages"

# A node's code_roots, its writers, and its outputs with their codecs.
Roots = tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]

# Code that leads to these may run native kernels, whose source is not Python's: those of programs, those of training.
_KERNELS = {"tinytorch.kernels.native": "kernels", "tinytorch.kernels.calls": "training_kernels"}

_SOURCE_CODE = "pipeline.execute.source_code"  # imported when a file has to be read: it needs the parser
_READERS = ("core/code.py", "execute/source_code.py")


class _Closure(NamedTuple):
    """All code behind a node: its digest, the top-level names of installed packages that it imports, and kernels."""

    digest: str
    libraries: frozenset[str]
    kernels: frozenset[str]


class CodeDigests:
    """Digests of the code that nodes run; parsed modules are remembered by the digest of their source."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        # What is remembered depends on how it was found: by which program, in which version of Python.
        here = Path(__file__).parents[1]
        self._reader = digest_value([*((here / name).read_bytes() for name in _READERS), *sys.version_info[:2]])
        self._seen = Stamps()
        self._files: dict[str, tuple[str, Stamp, str]] = {}  # module -> its file, the file's stamp, its digest
        self._in_memory: set[str] = set()
        self._noted = 0, 0
        self._modules: dict[Roots, dict[str, str]] = {}
        self._closures: dict[Roots, _Closure] = {}

    @functools.cached_property
    def _source_code(self) -> SourceCode:
        made: SourceCode = importlib.import_module(_SOURCE_CODE).SourceCode(
            self._store, self._seen, _home_of, self._reader
        )
        return made

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

    def kernels(self, node: Node) -> frozenset[str]:
        """Name the native kernels that the code behind a node may run: "kernels" of programs, "training_kernels"."""
        return self._closure(_roots(node)).kernels

    def changed(self, before: str, after: str) -> tuple[str, ...] | None:
        """Name the modules behind both of two code digests that differ; None when the older one is no longer known.

        None of them does where other modules are needed, as by another architecture.
        """
        old, new = self._store.recall("closure", before), self._store.recall("closure", after)
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            return None
        return tuple(name for name in sorted(old.keys() & new.keys()) if old[name] != new[name])

    def note_imported(self) -> None:
        """Note which modules are in memory just as their digests say: later edits do not reach this process."""
        size = len(self._files), len(sys.modules)
        if size == self._noted:
            return
        self._noted = size
        for module in self._files.keys() & sys.modules.keys() - self._in_memory:
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
            own = [source.folder for source in sources()]
            name = digest_value([self._reader, str(PROJECT), FIRST_PARTY, roots, *own])
            self._closures[roots] = self._remembered(name) or self._computed(name, roots)
        return self._closures[roots]

    def _remembered(self, name: str) -> _Closure | None:
        """Return what was found before if every file and folder is as it was then."""
        known = self._store.recall("code behind", name)
        if known is None:
            return None
        modules: Mapping[str, tuple[str, list[int], str]] = known["modules"]
        if any(not self._is_as_it_was(path, stamp) for path, stamp, _ in modules.values()):
            return None
        if any(not self._is_as_it_was(path, stamp) for path, stamp in known["others"].items()):
            return None
        self._note_files({module: (path, digest) for module, (path, _, digest) in modules.items()})
        return _Closure(known["digest"], frozenset(known["libraries"]), _kernels_of(modules))

    def _is_as_it_was(self, path: str, stamp: list[int] | None) -> bool:
        return self._seen.of(path) == (tuple(stamp) if stamp else None)

    def _note_files(self, files: Mapping[str, tuple[str, str]]) -> None:
        for module, (path, digest) in files.items():
            if module not in self._files and (stamp := self._seen.of(path)):
                self._files[module] = path, stamp, digest

    def _computed(self, name: str, roots: Roots) -> _Closure:
        code = self._source_code
        found = self._modules[roots] = self._found(roots)
        facts = {module: each for module in found if (each := code.facts(module))}
        names = {name.partition(".")[0] for each in facts.values() for name in each.imports}
        libraries = frozenset(name for name in names - sys.stdlib_module_names - {""} if _home_of(name) is None)
        closure = _Closure(digest_value(found), libraries, _kernels_of(found))
        self._note_files({module: (code.paths[module], each.digest) for module, each in facts.items()})
        modules = {module: self._files[module] for module in facts}
        others = code.searched(found)
        if self._seen.are_settled([*(path for path, _, _ in modules.values()), *others]):
            stamps = {path: self._seen.of(path) for path in others}
            known = {"modules": modules, "others": stamps, "digest": closure.digest, "libraries": sorted(libraries)}
            self._store.remember("code behind", {name: known})
        if self._store.recall("closure", closure.digest) is None:
            self._store.remember("closure", {closure.digest: found})
        return closure

    def _found(self, roots: Roots) -> dict[str, str]:
        deep, alone, outputs = roots
        found = self._source_code.closure(deep, alone)
        found |= {f"{one.name} (all files)": own_digest(one) for one in sources() if _is_package_of(one, found)}
        return found | {_STAGES: digest_value(outputs)} if _STAGES in found else found

    def _is_as_read(self, module: str) -> bool:
        if module not in self._files:  # a schema: it is read with the code that uses it
            return True
        path, stamp, digest = self._files[module]
        try:
            if stamp_of(os.stat(path)) == stamp:
                return True
        except OSError:
            return False
        is_same: bool = importlib.import_module(_SOURCE_CODE).digest_now(module, path) == digest
        return is_same


def _home_of(top: str) -> str | Path | None:
    """Return the folder of a module that is ours or the user's own, by the first part of its name."""
    return PROJECT if top in FIRST_PARTY else home_of(top)


def _is_package_of(source: OwnSource, found: Mapping[str, str]) -> bool:
    """Tell whether code is led to that belongs to an installed package: it may have files that are no Python."""
    return source.kind == "package" and source.module in found


def _roots(node: Node) -> Roots:
    return node.code_roots, node.writers, tuple(sorted(node.outputs.items()))


def _kernels_of(modules: Collection[str]) -> frozenset[str]:
    return frozenset(name for module, name in _KERNELS.items() if module in modules)
