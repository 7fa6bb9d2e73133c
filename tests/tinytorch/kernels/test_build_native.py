"""Compiling the native kernels: what is built, what is kept and what is said where that fails."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import pytest

from tinytorch.kernels import build_native
from tinytorch.kernels.build_native import BuildError, build, build_here, is_stale, source_digest

HAS_COMPILER = shutil.which("cc") and Path(sysconfig.get_paths()["include"], "Python.h").is_file()
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="there is no C compiler, or no headers of Python")

MODULE = """
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_doc = TT_DIGEST TT_COMPILER};
__attribute__((visibility("default"))) PyObject *PyInit__native(void) { return PyModuleDef_Init(&definition); }
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one C file; the folder that the module is built into."""
    sources = tmp_path / "native"
    sources.mkdir()
    (sources / "module.c").write_text(MODULE)
    monkeypatch.setattr(build_native, "HERE", tmp_path)
    monkeypatch.setattr(build_native, "SOURCES", sources)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CFLAGS", raising=False)
    return tmp_path


def compiler(folder: Path, script: str) -> str:
    """Write a program that takes the place of the compiler."""
    file = folder / "compiler"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@needs_compiler
def test_the_module_is_built_beside_its_source(package: Path) -> None:
    """It can be loaded, a reason from before is gone, and nothing else is left."""
    reason = package / "native" / build_native.REASON
    reason.write_text("there was no compiler\n")
    assert build_here() == package / build_native.module_file()
    assert sorted(path.name for path in package.iterdir()) == sorted([build_native.module_file(), "native"])
    assert not reason.exists()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 3", "ended with 3"),
        ("echo no such option >&2; exit 1", "no such option"),
        (None, "there is no C compiler"),
    ],
)
def test_a_compiler_that_fails_is_an_error_that_says_why(
    package: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, problem: str
) -> None:
    """The reason is kept for those who ask why there are no kernels."""
    monkeypatch.setenv("CC", compiler(package, script) if script else str(package / "missing"))
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(package)})
    (package / "Python.h").touch()
    with pytest.raises(BuildError, match=problem):
        build_here()
    assert problem in (package / "native" / build_native.REASON).read_text()


def test_a_failing_build_keeps_the_module_that_was_there(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one C file does not take the kernels from all who use them."""
    module = package / build_native.module_file()
    module.write_text("built before")
    monkeypatch.setenv("CC", str(package / "missing"))
    with pytest.raises(BuildError):
        build_here()
    assert module.read_text() == "built before"
    assert not (package / "native" / build_native.REASON).exists()


def test_headers_that_are_not_installed_are_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many systems have Python's headers in a package of their own."""
    monkeypatch.setenv("CC", compiler(package, "exit 0"))
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(package)})
    with pytest.raises(BuildError, match=r"no Python\.h in"):
        build(package / "module.so")


@needs_compiler
def test_a_module_that_cannot_be_loaded_is_not_built(package: Path) -> None:
    """A symbol that is nowhere defined shows only then."""
    (package / "native" / "module.c").write_text(
        MODULE.replace("PyModuleDef_Init(", "tt_nowhere(").replace("static", "PyObject *tt_nowhere(void *);\nstatic")
    )
    with pytest.raises(BuildError, match="tt_nowhere"):
        build_here()
    assert not (package / build_native.module_file()).exists()


@needs_compiler
def test_without_openmp_the_module_is_built_for_one_thread(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's compiler, for one, has none."""
    refusing = 'for argument; do test "$argument" != -fopenmp || exit 1; done; exec cc "$@"'
    monkeypatch.setenv("CC", compiler(package, refusing))
    module = build_here().read_bytes()
    assert b"-O3" in module
    assert b"-fopenmp-simd" in module  # its pragmas for vectors hold all the same


def test_a_changed_source_is_another_digest(package: Path) -> None:
    """Names count like contents, other files not at all."""
    before = source_digest()
    assert not is_stale(before)
    (package / "native" / build_native.REASON).write_text("a reason")
    assert source_digest() == before
    (package / "native" / "module.c").rename(package / "native" / "other.c")
    renamed = source_digest()
    (package / "native" / "other.c").write_text(MODULE + "\n")
    assert len({before, renamed, source_digest()}) == 3
    assert is_stale(before)
