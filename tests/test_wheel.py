"""A wheel, built here and installed elsewhere, carries schemas, examples and kernels, and runs an experiment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tinytorch.kernels import native

ROOT = Path(__file__).parents[1]


def build(target: str, folder: Path, **variables: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True, capture_output=True)
    (path,) = folder.glob("tinytorch_pipeline-*")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def pure_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("pure"), CC=shutil.which("false") or "/bin/false")


def kernels_of(wheel: Path, site: Path) -> list[str]:
    """Return what an installation of this wheel says of its kernels: instruction set, why not native, stale."""
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import json; from tinytorch.kernels import build_native, native; "
        "print(json.dumps([native.isa(), native.why_not(), build_native.is_stale(native.build_facts()[0])]))"
    )
    environment = {name: value for name, value in os.environ.items() if name != native.VARIABLE}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=site, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout)


@pytest.mark.skipif(not native.isas(), reason="the native kernels are not built here")
def test_a_wheel_holds_the_native_kernels_for_every_python_it_says(wheel: Path, tmp_path: Path) -> None:
    """One module for CPython 3.11 and later, on this platform, built from the C beside it."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("there is no stable ABI without the lock")
    assert "-cp311-abi3-" in wheel.name
    assert kernels_of(wheel, tmp_path) == [native.isas()[-1], "", False]


def test_without_a_compiler_a_wheel_is_built_that_says_why_it_has_no_kernels(pure_wheel: Path, tmp_path: Path) -> None:
    """The reference runs; the wheel is for any platform."""
    assert pure_wheel.name.endswith("-py3-none-any.whl")
    isa, why_not, _ = kernels_of(pure_wheel, tmp_path)
    assert isa is None
    assert why_not.startswith("the native kernels are not built: ")
    assert "ended with 1" in why_not


def test_the_source_distribution_holds_all_that_a_build_needs(tmp_path: Path) -> None:
    """The C, its headers, and the hook that compiles it; nothing compiled."""
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tinytorch/kernels/native").glob("*.[ch]")}
    assert names >= sources | {
        "pyproject.toml",
        "tinytorch/kernels/build_native.py",
        "tinytorch/kernels/install_hook.py",
    }
    assert not any(name.endswith(".so") for name in names)


def test_a_wheel_holds_schemas_examples_data_and_licences(wheel: Path) -> None:
    """Everything a run needs travels with the packages, and nothing of the tests does."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "pipeline/_schemas/experiment.v1.schema.json" in names
    assert "pipeline/_schemas/submission.v2.schema.json" in names
    assert "pipeline/_experiments/prune_quant.yaml" in names
    assert "tinytorch/data/files/digits.bin.gz" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "experiments/", "schemas/")) for name in names)


def test_an_experiment_runs_from_a_wheel(wheel: Path, tmp_path: Path) -> None:
    """`init` and `run` work in an empty folder with nothing but the installed wheel."""
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("PIPELINE_STORE", None)

    def pipeline(*arguments: str, expect: tuple[int, ...] = (0,)) -> str:
        command = [sys.executable, "-m", "pipeline", *arguments]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode in expect, done.stderr
        return done.stdout

    assert json.loads(pipeline("schema", "path", "experiment.v1", "--json"))["path"].startswith(str(site))
    pipeline("init", "first.yaml", "--example", "smoke")
    pipeline("run", "first.yaml", expect=(0, 5))  # 5: other tests run beside it, so nothing is claimed
    pipeline("validate", "first.yaml", "runs/first/submission.json")
