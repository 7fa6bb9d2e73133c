"""One experiment on every executor: the results are the same bytes."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.project import Project, copy_project

SWEEP = """
name: small
data: {name: synthetic}
model: {arch: mlp, args: {hidden: [16, 8]}, train: {epochs: 2}}
vars: {sparsity: 0.5}
optimize:
  - prune: {method: structured, sparsity: "${sparsity}", except: [fc_out]}
  - finetune: {epochs: 1}
  - quantize: {bits: 8}
sweep: {grid: {sparsity: [0.25, 0.5]}}
seeds: [0, 1]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("executors"))
    (project.folder / "small.yaml").write_text(SWEEP)
    return project


@pytest.fixture(scope="module")
def inline(project: Project) -> dict[str, dict[str, str]]:
    return digests(project)


def digests(project: Project, *limits: str) -> dict[str, dict[str, str]]:
    """Run all but what measures from the beginning; return node id -> role -> digest."""
    shutil.rmtree(project.folder / ".pipeline", ignore_errors=True)
    project.run("run", "small.yaml", "--until", "evaluate", *limits)
    nodes = json.loads((project.folder / "runs/small/run.json").read_text())["nodes"]
    assert {node["outcome"] for node in nodes} == {"ran"}
    return {node["id"]: node["outputs"] for node in nodes}


def test_worker_processes_give_the_same_digests(project: Project, inline: dict[str, dict[str, str]]) -> None:
    """Two at once, in whatever order."""
    assert len(inline) > 20
    assert digests(project, "--workers", "2") == inline


def test_a_dask_cluster_gives_the_same_digests(project: Project, inline: dict[str, dict[str, str]]) -> None:
    """With a real scheduler and a real worker."""
    pytest.importorskip("distributed")
    assert digests(project, "--executor", "dask", "--workers", "2") == inline
