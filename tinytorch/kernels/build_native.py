"""Compile the native kernels into `_native`, next to this file. Standard library only: installing runs it by its path.

By hand, after a change to the C: ``python -m tinytorch.kernels.build_native``.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["BuildError", "REBUILD", "build", "build_here", "is_stale", "main", "module_file", "source_digest"]

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "native"
REBUILD = "python -m tinytorch.kernels.build_native"
REASON = "not_built.txt"  # beside the sources: why the last build failed

# No -march: functions for instruction sets are chosen at run time. No contraction into fused multiply-adds where the
# source does not say so: dequantization is equal to NumPy's, bit for bit. The two -fno- flags change no result: nobody
# reads errno or the processor's exception flags, and without them a loop that chooses between numbers stays scalar.
FLAGS = (
    "-O3",
    "-std=gnu11",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-fPIC",
)
WARNINGS = ("-Wall", "-Wextra", "-Wno-missing-field-initializers")  # a table leaves out what is zero
# What program.c does not list is left out of the module.
SECTIONS, UNUSED = ("-ffunction-sections", "-fdata-sections"), "-Wl,--gc-sections"
OPENMP = "-fopenmp"
VECTORS = "-fopenmp-simd"  # without threads, what the pragmas say of vectors still counts
TIMEOUT_S = 600
SHARED = ("begin_", "end_", "op.h")  # what the files of training include besides their own

# What is linked may still lack a symbol, which shows when it is loaded.
_LOAD = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("_native", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_native", loader))
loader.exec_module(module)
"""


class BuildError(Exception):
    """The native kernels cannot be compiled here; the message says why."""


def source_digest() -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over names and bytes of all C files, in order of name."""
    return _digest(_sources())


def _sources() -> list[Path]:
    return sorted((*SOURCES.glob("*.c"), *SOURCES.glob("*.h")))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def training_digest() -> str:
    """Return the digest of the C files behind `train`: what other kernels are edited for changes no training."""
    return _digest(path for path in _sources() if path.name.startswith(("train", *SHARED)))


def is_stale(digest: str) -> bool:
    """Say whether the C files are no longer those that a module with this digest was built from."""
    return source_digest() != digest


def module_file() -> str:
    """Return the file name of the compiled module: one for all versions of Python, but for those without the lock."""
    is_stable = not sysconfig.get_config_var("Py_GIL_DISABLED")
    return "_native.abi3.so" if is_stable else f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"


def build_here(extra: Sequence[str] = ()) -> Path:
    """Compile the module into this package; when that fails and none was built before, write down why.

    `extra` are further compiler flags. Raises BuildError.
    """
    target, reason = HERE / module_file(), SOURCES / REASON
    try:
        build(target, extra)
    except BuildError as error:
        if not target.exists():
            reason.write_text(f"{error}\n")
        raise
    reason.unlink(missing_ok=True)
    return target


def build(target: Path, extra: Sequence[str] = ()) -> None:
    """Compile the module to `target`, with OpenMP where the compiler has it, else for one thread. Raises BuildError."""
    if sys.platform == "win32":
        raise BuildError("the native kernels are not built on Windows")
    compiler = _compiler()
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").is_file():
        raise BuildError(f"Python's C headers are not installed (no Python.h in {include})")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parallel = OPENMP if _compiles(compiler, OPENMP, folder) else VECTORS
        flags = (*FLAGS, *SECTIONS, parallel, *shlex.split(os.environ.get("CFLAGS", "")), *extra)
        objects = _compile(compiler, flags, include, folder)
        special = ("-undefined", "dynamic_lookup") if sys.platform == "darwin" else (UNUSED,)
        linked = folder / target.name
        _call((*compiler, "-shared", *special, *flags, *map(str, objects), "-lm", "-o", str(linked)))
        _call((sys.executable, "-I", "-c", _LOAD, str(linked)))
        # Replaced at once: a process that has loaded the old module keeps it.
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copy(linked, beside)
        beside.replace(target)


def _compiler() -> tuple[str, ...]:
    """Return the command of the C compiler: CC, else the one that Python was built with, else cc."""
    wanted = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    command = tuple(shlex.split(wanted))
    if shutil.which(command[0]):
        return command
    if not os.environ.get("CC") and shutil.which("cc"):
        return ("cc",)
    raise BuildError(f"there is no C compiler (looked for {command[0]})")


def _compile(compiler: Sequence[str], flags: Sequence[str], include: str, folder: Path) -> list[Path]:
    """Compile every C file into an object in `folder`."""
    described = " ".join((_version(compiler), *flags)).replace("\\", "/").replace('"', "'")
    definitions = (
        f'-DTT_DIGEST="{source_digest()}"',
        f'-DTT_TRAINING_DIGEST="{training_digest()}"',
        f'-DTT_COMPILER="{described}"',
    )

    def compile_one(source: Path) -> Path:
        made = folder / f"{source.stem}.o"
        _call((*compiler, *flags, *WARNINGS, *definitions, f"-I{include}", "-c", str(source), "-o", str(made)))
        return made

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2) as pool:
        return list(pool.map(compile_one, sorted(SOURCES.glob("*.c"))))


def _version(compiler: Sequence[str]) -> str:
    lines = _call((*compiler, "--version")).splitlines()
    return lines[0] if lines else compiler[0]


def _compiles(compiler: Sequence[str], flag: str, folder: Path) -> bool:
    """Say whether a program that needs the OpenMP run-time library can be linked with this flag."""
    source = folder / "try_openmp.c"
    source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
    try:
        _call((*compiler, flag, str(source), "-o", str(folder / "try_openmp")))
    except BuildError:
        return False
    return True


def _call(command: Sequence[str]) -> str:
    """Run a command; return what it printed. Raises BuildError with its complaint."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]}: {error}") from error
    if done.returncode:
        complaint = (done.stderr.strip() or done.stdout.strip() or "nothing was printed").splitlines()
        raise BuildError("\n".join((f"{command[0]} ended with {done.returncode}: {complaint[0]}", *complaint[1:20])))
    if done.stderr.strip():
        sys.stderr.write(done.stderr)  # warnings
    return done.stdout


def main() -> int:
    """Build next to this file, with further compiler flags from the command line; the exit code is 1 if that fails."""
    try:
        target = build_here(sys.argv[1:])
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{target}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
