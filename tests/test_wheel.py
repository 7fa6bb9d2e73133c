"""A wheel built from the checkout and installed elsewhere carries schemas and examples, and runs the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_a_wheel_holds_schemas_examples_data_and_licences(wheel: Path) -> None:
    """Everything a run needs travels with the packages, and nothing of the tests does."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "pipeline/_schemas/experiment.v1.schema.json" in names
    assert "pipeline/_schemas/submission.v2.schema.json" in names
    assert "pipeline/_experiments/prune_quant.yaml" in names
    assert "tinytorch/data/files/digits.bin.gz" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "experiments/", "schemas/")) for name in names)


def test_the_main_job_runs_from_a_wheel(wheel: Path, tmp_path: Path) -> None:
    """`init` and `run` work in an empty folder with nothing but the installed wheel."""
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("PIPELINE_STORE", None)

    def pipeline(*arguments: str) -> str:
        command = [sys.executable, "-m", "pipeline", *arguments]
        return subprocess.run(
            command, cwd=work, env=environment, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    assert json.loads(pipeline("schema", "path", "experiment.v1", "--json"))["path"].startswith(str(site))
    pipeline("init", "first.yaml")
    pipeline("run", "first.yaml", "--set", "benchmark.processes=2", "--set", "benchmark.budget_s=1")
    pipeline("validate", "first.yaml", "runs/prune_quant/submission.json")
