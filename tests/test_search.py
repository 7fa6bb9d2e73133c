"""A search from its file to its submission: what it tried, that it is not made twice, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.project import Project, copy_project

pytest.importorskip("optuna", minversion="5.0")

# Of 16 neurons, a sparsity below 1/16 removes none, which is an error: some points fail.
FILE = """\
name: searched
data: {name: synthetic, args: {train: 64, validation: 32, test: 32}}
model: {arch: mlp, args: {hidden: [16]}, train: {epochs: 1}}
vars: {sparsity: 0.5}
optimize: [{prune: {sparsity: "${sparsity}"}}]
sweep:
  search: SEARCH
benchmark: {processes: 2, target_ci: 0.5, budget_s: 0.1, wait_s: 0}
goals: [{metric: accuracy, max_drop: 1}, {minimize: size_bytes}]
outputs: {report: [md]}
"""
TPE = "{trials: 2, batch: 2, axes: {sparsity: {uniform: [0.1, 0.8]}}}"
HALVING = """{strategy: halving, trials: 3, axes: {sparsity: {choice: [0.01, 0.25, 0.5]}},
    resource: {axis: model.train.epochs, min: 1, max: 2, factor: 2}}"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project without results."""
    return copy_project(tmp_path_factory.mktemp("search"))


def write(project: Project, search: str) -> None:
    (project.folder / "x.yaml").write_text(FILE.replace("SEARCH", search))


def selection(project: Project) -> dict[str, Any]:
    document = json.loads((project.folder / "runs/searched/submission.json").read_text())
    found: dict[str, Any] = document["selection"]
    return found


def test_a_search_is_made_once_and_goes_on(project: Project) -> None:
    """Its points are submitted like those of a sweep; the second run computes nothing, more trials only their own."""
    write(project, TPE)
    before = project.json("plan", "x.yaml")
    assert (before["points"], before["search"]["known"], before["search"]["trials"]) == ([], 0, 2)
    done = project.run("run", "x.yaml")
    assert "searched by tpe" in " ".join(done.stdout.split())
    first = selection(project)
    assert (first["tried"], first["search"]["trials"], first["search"]["seed"]) == (2, 2, 0)
    assert first["search"]["objectives"] == ["minimize size_bytes"]
    project.run("validate", "runs/searched/submission.json")
    assert project.json("run", "x.yaml")["nodes"]["ran"] == 0
    after = project.json("plan", "x.yaml")
    assert {node["status"] for node in after["nodes"]} == {"cached"}
    assert after["points"] == [point["label"] for point in first["points"]]

    more = project.json("run", "x.yaml", "--set", "sweep.search.trials=3")
    assert selection(project)["points"][0]["point"] == first["points"][0]["point"]
    stages = [node["stage"] for node in nodes(project) if node["outcome"] == "ran"]
    assert sorted(stages) == ["benchmark", "evaluate", "judge", "optimize", "report", "submit"]
    assert more["submission"]["selection"]["search"]["trials"] == 3


def nodes(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((project.folder / "runs/searched/run.json").read_text())["nodes"]
    return found


def test_halving_leaves_failed_points_behind(project: Project) -> None:
    """They are told, with how many points had how much of the resource."""
    write(project, HALVING)
    done = project.run("run", "x.yaml", "--workers", "2", expect=1)
    assert "removed no unit" in done.stderr
    found = selection(project)
    assert found["search"]["rungs"][-1] == {"resource": 2, "points": 1}
    assert [point["point"]["sparsity"] for point in found["failed"]] == [0.01]
    assert found["points"][-1]["point"]["model.train.epochs"] == 2
    assert len(found["points"]) + len(found["failed"]) == sum(rung["points"] for rung in found["search"]["rungs"])
    failed = [node["label"] for node in nodes(project) if node["outcome"] == "failed"]
    assert failed == ["optimize prune structured sparsity=0.01"]


def test_a_part_of_a_search_asks_for_nothing(project: Project) -> None:
    """With --until, what is known is brought up to date, here a fourth point that was asked for with the third."""
    write(project, TPE.replace("trials: 2", "trials: 40"))
    journals = {path: path.read_bytes() for path in (project.folder / ".pipeline/search").glob("*.journal")}
    assert project.json("run", "x.yaml", "--until", "evaluate")["nodes"]["ran"] <= 2
    assert {path: path.read_bytes() for path in (project.folder / ".pipeline/search").glob("*.journal")} == journals
    assert len(project.json("plan", "x.yaml")["points"]) == 4


def test_without_optuna_the_extra_is_named(project: Project) -> None:
    """Exit code 6, and how to install it."""
    write(project, TPE.replace("batch: 2", "batch: 3"))
    site = project.folder / "sitecustomize.py"
    site.write_text("import sys; sys.modules['optuna'] = None\n")
    try:
        assert "tinytorch-pipeline[search]" in project.run("run", "x.yaml", expect=6).stderr
    finally:
        site.unlink()
