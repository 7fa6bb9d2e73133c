"""Schemas and example experiments are found in a checkout and in an installed package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import InternalError
from pipeline.schemas import (
    competition_path,
    experiment_names,
    read_experiment,
    read_schema,
    schema_names,
    schema_path,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", schema_names())
def test_every_schema_is_read_by_its_name(name: str) -> None:
    """A name is the file's without its ending, and the file holds a JSON object."""
    assert schema_path(name).name == f"{name.rpartition('/')[2]}.schema.json"
    assert read_schema(name)["$schema"].endswith("2020-12/schema")


def test_an_unknown_name_is_our_bug() -> None:
    """Names come from our tables; users' words are compared with them before."""
    with pytest.raises(InternalError, match=r"there are .*experiment\.v1"):
        schema_path("nope")
    with pytest.raises(InternalError):
        read_experiment("../pyproject")


def test_an_installed_package_uses_its_own_copies(tmp_path: Path) -> None:
    """Without a checkout around it, the package finds what travelled inside the wheel."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=ignore)
    for name in ("schemas", "experiments"):
        shutil.copytree(ROOT / name, tmp_path / "pipeline" / f"_{name}")
    code = "from pipeline.schemas import *; print(schema_path('experiment.v1')); print(*experiment_names())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    path, names = done.stdout.splitlines()
    assert Path(path) == tmp_path / "pipeline/_schemas/experiment.v1.schema.json"
    assert names.split() == list(experiment_names())


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_no_competition(name: str) -> None:
    """A stranger's experiment may name one; the file system refuses to look."""
    assert competition_path(name) is None
