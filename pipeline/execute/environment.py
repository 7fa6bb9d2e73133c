"""What surrounds a computation and can change its bytes: our code, the data's files, Python, libraries, instructions.

Everything is found without importing numpy, so that a run in which nothing has to be done stays quick.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import digest_bytes
from pipeline.core.plan import Node
from pipeline.core.stage import StageInfo
from pipeline.execute.modules import FIRST_PARTY, PROJECT, CodeDigests
from pipeline.execute.sources import DataFiles
from pipeline.measure import machine
from pipeline.store.local import LocalStore
from tinytorch.errors import KernelsError
from tinytorch.kernels import native

__all__ = ["CodeDigests", "Environment", "VARIABLES", "library_version", "numeric_environment"]

# The distribution that brings a module, where the two are not called the same.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "mlperf_loadgen": "mlcommons_loadgen",
    "vl_convert": "vl_convert_python",
    "yaml": "pyyaml",
}

# Variables by which OpenBLAS, BLIS, MKL, NVPL and NumPy choose other kernels or block sizes, whose rounding differs.
VARIABLES = (
    "BLIS_ARCH_TYPE",
    "BLIS_MODEL_TYPE",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NVPL_BLAS_DEBUG_CPU_TYPE",
    "OPENBLAS_BLOCK_FACTOR",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)


class Environment:
    """The environment part of action keys, for ordinary and for measuring stages.

    Raises EnvironmentProblem when tinytorch comes from another installation than this package.
    """

    def __init__(self, store: LocalStore) -> None:
        self.code = CodeDigests(store)
        self.data = DataFiles(store, self.code.module_digest)
        self._known: dict[tuple[frozenset[str], frozenset[str], bool], dict[str, str]] = {}
        for package in FIRST_PARTY:
            _check_home(package)

    def of(self, node: Node, info: StageInfo) -> dict[str, str]:
        """Return the named facts that enter the key of this node: of libraries and kernels, what its code imports.

        Raises EnvironmentProblem for kernels that were asked for and are not here.
        """
        libraries, kernels = self.code.libraries(node), self.code.kernels(node)
        name = libraries, kernels, info.measures
        if name not in self._known:
            versions = {library: library_version(library) for library in sorted(libraries)}
            alone = {"machine": machine.fingerprint()} if info.measures else {}
            native_code = {kind: _kernels(kind) for kind in sorted(kernels)}
            self._known[name] = {**numeric_environment(), **versions, **native_code, **alone}
        return self._known[name]


def _check_home(package: str) -> None:
    """Raise if a package would be imported from elsewhere: its code is not what the keys are made of."""
    file, expected = _file(package), PROJECT / package / "__init__.py"
    if file is None or not os.path.samefile(file, expected):
        raise EnvironmentProblem(
            f"{package} is imported from {file}, but what is installed with this pipeline is {expected}",
            hint="start the command in another folder, or take the other one off PYTHONPATH",
        )


@functools.cache
def numeric_environment() -> dict[str, str]:
    """Return what else than code, libraries and inputs can change the bytes of a numeric result."""
    optimized = f" -{'O' * sys.flags.optimize}" if sys.flags.optimize else ""  # no assertions
    return {
        "python": sys.version.split()[0] + optimized,
        "blas": _bundled_libraries("numpy"),
        "arch": machine.architecture(),
        # Instruction sets by which OpenBLAS and NumPy choose other kernels, whose rounding can differ.
        "simd": ",".join(machine.flags() or ["unknown"]),
        **{name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
    }


_FACTS = {"kernels": native.build_facts, "training_kernels": native.training_facts}


def _kernels(kind: str) -> str:
    """Name the kernels that run: the instruction set, the C source and how it was compiled; rounding can differ."""
    try:
        isa = native.isa()
    except KernelsError as error:
        raise EnvironmentProblem(str(error), hint=f"unset {native.VARIABLE} to use what is here") from error
    if isa is None:
        return "reference"
    source, compiler = _FACTS[kind]()
    return f"{isa} {source} {digest_bytes(compiler.encode())[:6]}"


@functools.cache
def library_version(module: str) -> str:
    """Return the version of what brings a module, by its metadata folder's name or by its file, not importing it."""
    file = _file(module)
    if file is None:
        return "absent"
    installed_in = file.parents[1] if file.stem == "__init__" else file.parent
    name = re.escape(_DISTRIBUTIONS.get(module, module)).replace("_", "[-_.]")
    pattern = re.compile(rf"{name}-([^-]+)\.(dist|egg)-info$", re.IGNORECASE)
    versions = [match[1] for name in _listed(installed_in) if (match := pattern.match(name))]
    return ",".join(sorted(versions)) or digest_bytes(file.read_bytes())[:12]


def _bundled_libraries(package: str) -> str:
    """Name the native libraries that a wheel brings (their names carry a hash); else how the package was built."""
    file = _file(package)
    if file is None:
        return "absent"
    for libraries in (file.parents[1] / f"{package}.libs", file.parent / ".dylibs"):
        if libraries.is_dir():
            return ",".join(sorted(os.listdir(libraries)))
    build = file.parent / "__config__.py"
    return f"system {digest_bytes(build.read_bytes())[:12]}" if build.is_file() else "system"


@functools.cache
def _listed(folder: Path) -> Sequence[str]:
    return os.listdir(folder)


@functools.cache
def _file(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None
