"""What surrounds a computation: libraries, BLAS, switches in the environment, and the wrong tinytorch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.plan import Node
from pipeline.core.stage import StageInfo
from pipeline.execute import environment
from pipeline.execute.environment import Environment, library_version, numeric_environment
from pipeline.store.local import LocalStore
from tinytorch.kernels import native

ROOT = Path(__file__).parents[3]
CACHES = (environment.library_version, environment.numeric_environment, environment._file, environment._listed)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    for cache in CACHES:
        cache.cache_clear()
    yield
    for cache in CACHES:
        cache.cache_clear()


@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "MKL_CBWR"])
def test_switches_that_choose_other_kernels_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They change how sums are rounded, and so the trained bytes."""
    monkeypatch.delenv(name, raising=False)
    before = numeric_environment()
    numeric_environment.cache_clear()
    monkeypatch.setenv(name, "other")
    assert numeric_environment() == {**before, name: "other"}


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONHASHSEED", "TZ", "LANG", "PIPELINE_STORE"])
def test_what_changes_no_byte_does_not_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are set by the executor, results do not depend on hash order, time zone or language."""
    before = numeric_environment()
    numeric_environment.cache_clear()
    monkeypatch.setenv(name, "2")
    assert numeric_environment() == before


def test_the_native_kernels_count_where_they_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their rounding depends on the instruction set, the C source and the compiler; training has kernels of its own."""
    oracle = Environment(LocalStore(tmp_path))
    info = StageInfo("train", "", 1, {}, "")

    def facts(module: str) -> dict[str, str]:
        return oracle.of(Node("1", "train", "", {}, {}, (module,)), info)

    monkeypatch.setenv(native.VARIABLE, "reference")
    assert facts("tinytorch.kernels.native")["kernels"] == "reference"
    trained = facts("tinytorch.core.fitting")
    assert "kernels" not in trained
    assert trained["training_kernels"] == "reference"
    monkeypatch.setenv(native.VARIABLE, "fastest")
    with pytest.raises(EnvironmentProblem, match="expected one of auto, reference"):
        environment._kernels("kernels")


@pytest.mark.skipif(not native.isas(), reason="the native kernels are not built")
def test_kernels_are_named_by_instruction_set_source_and_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portable ones of a build are other kernels than its best ones."""
    monkeypatch.setenv(native.VARIABLE, "portable")
    isa, source, compiler = environment._kernels("kernels").split()
    assert (isa, source, len(compiler)) == ("portable", native.build_facts()[0], 6)
    assert environment._kernels("training_kernels").split() == ["portable", native.training_facts()[0], compiler]


def test_running_without_assertions_counts() -> None:
    """`python -O` is another program."""
    code = "from pipeline.execute.environment import numeric_environment as n; print(n()['python'])"
    done = subprocess.run([sys.executable, "-O", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(" -O")


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Put a package `numpie` on the path, with these folders beside it."""
    (folder / "numpie").mkdir()
    (folder / "numpie" / "__init__.py").write_text("raise ImportError('must not be imported')")
    for name in names:
        (folder / name).mkdir()
    monkeypatch.syspath_prepend(folder)


def test_a_version_is_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the metadata folder says it, in any case of letters."""
    fake(tmp_path, monkeypatch, "Numpie-9.9.1.dist-info", "numpie_extras-1.0.dist-info")
    assert library_version("numpie") == "9.9.1"
    assert library_version("no_such_library") == "absent"


def test_a_library_without_metadata_counts_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something on the path that pip does not know is not taken for the same for ever."""
    fake(tmp_path, monkeypatch)
    before = library_version("numpie")
    library_version.cache_clear()
    (tmp_path / "numpie" / "__init__.py").write_text("x = 2")
    assert library_version("numpie") != before


def test_modules_whose_distribution_has_another_name_are_known() -> None:
    """Pillow decodes pictures, and is imported as PIL; threadpoolctl is a single file."""
    assert library_version("PIL")[0].isdigit()
    assert library_version("threadpoolctl")[0].isdigit()


@pytest.mark.parametrize("folder", ["numpie.libs", "numpie/.dylibs"])
def test_another_bundled_blas_counts(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel names its native libraries by their content."""
    fake(tmp_path, monkeypatch, folder)
    (tmp_path / folder / "libopenblas-1.so").touch()
    assert environment._bundled_libraries("numpie") == "libopenblas-1.so"


def test_a_tinytorch_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """What would run is not what keys are made of: another package of that name in the working directory."""
    (tmp_path / "tinytorch").mkdir()
    (tmp_path / "tinytorch" / "__init__.py").write_text(f"__path__.append({str(ROOT / 'tinytorch')!r})")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "plan", str(ROOT / "experiments/smoke.yaml")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 6, done.stderr
    assert "tinytorch is imported from" in done.stderr
