"""What surrounds a computation and can change its bytes: our code, Python, numpy and its BLAS, CPU instructions.

Everything is found without importing numpy, so that a run in which nothing has to be done stays quick.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import re
from pathlib import Path

from pipeline.core.code import ModuleFacts, Source, closure, closure_digest, module_facts
from pipeline.core.keys import digest_bytes, digest_value
from pipeline.core.plan import Node
from pipeline.core.stage import StageInfo
from pipeline.measure import machine
from pipeline.store.local import LocalStore

__all__ = ["CodeDigests", "Environment", "library_version", "numeric_environment"]

_FIRST_PARTY = {"pipeline", "tinytorch"}
_PROJECT = Path(__file__).resolve().parents[2]


class Environment:
    """The environment part of action keys, for ordinary and for measuring stages."""

    def __init__(self, store: LocalStore) -> None:
        self.code = CodeDigests(store)
        self._numeric = numeric_environment()
        self._measuring = {**self._numeric, "machine": machine.fingerprint()}

    def of(self, info: StageInfo) -> dict[str, str]:
        """Return the named facts that enter the key of a node of this stage."""
        return self._measuring if info.measures else self._numeric


class CodeDigests:
    """Digests of the code that nodes run; parsed modules are remembered by the digest of their source."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._new: dict[str, list[object]] = {}
        self._modules: dict[str, ModuleFacts | None] = {}
        self._closures: dict[tuple[str, ...], dict[str, str]] = {}
        self._digests: dict[tuple[str, ...], str] = {}

    def modules(self, node: Node) -> dict[str, str]:
        """Return module -> syntax-tree digest for all first-party code behind a node."""
        return self._closure(node.code_roots)

    def module_digest(self, module: str) -> str:
        """Return the digest of one module and all it imports."""
        return closure_digest(self._closure((module,)))

    def digest(self, node: Node) -> str:
        """Return the digest of `modules(node)`; the modules are remembered under it, for `changed`."""
        roots = node.code_roots
        if roots not in self._digests:
            modules = self.modules(node)
            self._digests[roots] = digest = closure_digest(modules)
            if self._store.recall("closure", digest) is None:
                self._store.remember("closure", {digest: modules})
        return self._digests[roots]

    def changed(self, before: str, after: str) -> tuple[str, ...]:
        """Name the modules in which two code digests differ; empty when the older one is no longer known."""
        old, new = self._store.recall("closure", before), self._store.recall("closure", after)
        if old is None or new is None:
            return ()
        return tuple(name for name in sorted({*old, *new}) if old.get(name) != new.get(name))

    def _closure(self, roots: tuple[str, ...]) -> dict[str, str]:
        if roots not in self._closures:
            self._closures[roots] = closure(roots, self._facts)
            self._store.remember("code", self._new)
            self._new = {}
        return self._closures[roots]

    def _facts(self, module: str) -> ModuleFacts | None:
        if module not in self._modules:
            source = _read_source(module)
            self._modules[module] = self._parse(source) if source else None
        return self._modules[module]

    def _parse(self, source: Source) -> ModuleFacts:
        # The name is part of it because relative imports are resolved against it.
        name = digest_value([source.module, source.is_package, source.data])
        known = self._store.recall("code", name)
        if known is None:
            facts = module_facts(source)
            self._new[name] = [facts.digest, list(facts.imports)]
            return facts
        digest, imports = known
        return ModuleFacts(digest, tuple(imports))


def _read_source(module: str) -> Source | None:
    parts = module.split(".")
    if parts[0] not in _FIRST_PARTY:
        return None
    base = os.path.join(_PROJECT, *parts)
    for path, is_package in ((f"{base}.py", False), (os.path.join(base, "__init__.py"), True)):
        try:
            with open(path, "rb") as file:
                return Source(module, file.read(), is_package)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


@functools.cache
def numeric_environment() -> dict[str, str]:
    """Return what else than code and inputs can change the bytes of a numeric result."""
    return {
        "python": platform.python_version(),
        "numpy": library_version("numpy"),
        "blas": _bundled_libraries("numpy"),
        "safetensors": library_version("safetensors"),
        "scipy": library_version("scipy"),
        "arch": platform.machine(),
        # Instruction sets by which OpenBLAS and NumPy choose other kernels, whose rounding can differ.
        "simd": ",".join(machine.facts()["flags"] or ["unknown"]),
    }


@functools.cache
def library_version(package: str) -> str:
    """Return an installed package's version by its metadata folder's name, or by its files, without importing it."""
    folder = _package_folder(package)
    if folder is None:
        return "absent"
    pattern = re.compile(rf"{package}-([^-]+)\.(dist|egg)-info$")
    versions = [match[1] for name in os.listdir(folder.parent) if (match := pattern.match(name))]
    return ",".join(sorted(versions)) or digest_bytes((folder / "__init__.py").read_bytes())[:12]


def _bundled_libraries(package: str) -> str:
    """Name the native libraries that a wheel brings (their names carry a hash), or say "system"."""
    folder = _package_folder(package)
    libraries = folder.parent / f"{package}.libs" if folder else None
    return ",".join(sorted(os.listdir(libraries))) if libraries and libraries.is_dir() else "system"


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None
