"""The command line with a store behind a URL: a second machine takes what the first one computed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, copy_project

pytest.importorskip("fsspec")

TINY = """
name: tiny
data: {name: synthetic}
model: {arch: mlp, args: {hidden: [8]}, train: {epochs: 1}}
optimize:
  - prune: {method: magnitude, sparsity: 0.5}
benchmark: {processes: 2, budget_s: 0.2, wait_s: 0}
outputs: {report: [md]}
"""


def run(project: Project, url: str) -> dict[str, Any]:
    done = project.run("run", "tiny.yaml", "--store", url, "--json", expect=(0, 5))
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_second_machine_computes_nothing_again(tmp_path: Path) -> None:
    """Every node is taken, and the files are the same; what nobody reads is not even brought."""
    url = f"file://{tmp_path}/far"
    one, two = copy_project(tmp_path / "one"), copy_project(tmp_path / "two")
    for project in (one, two):
        (project.folder / "tiny.yaml").write_text(TINY)
    first = run(one, url)
    assert first["nodes"]["cached"] == 0
    planned = two.run("plan", "tiny.yaml", "--store", url).stdout
    second = run(two, url)
    assert " may run " not in planned
    assert second["nodes"]["ran"] == 0
    assert (two.folder / "runs/tiny/report.md").read_bytes() == (one.folder / "runs/tiny/report.md").read_bytes()
    counts = [len(list((p.folder / ".pipeline/remote").glob("*/objects/*/*"))) for p in (one, two)]
    assert counts[1] < counts[0] / 2


def test_a_store_out_of_reach_is_said_in_two_lines(tmp_path: Path) -> None:
    """No traceback, no password, and what to do; doctor says the same."""
    project = copy_project(tmp_path)
    (project.folder / "tiny.yaml").write_text(TINY)
    url = "ftp://user:secret@127.0.0.1:1/store"
    for command in (["run", "tiny.yaml"], ["doctor"]):
        done = project.run(*command, "--store", url, expect=6)
        assert "ftp://127.0.0.1:1/store cannot be read" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "secret" not in done.stdout + done.stderr


@pytest.mark.slow
def test_two_machines_at_once_come_to_the_same(tmp_path: Path) -> None:
    """Nothing is locked between machines: both may compute, nothing gets damaged, and a third one finds it all."""
    url = f"file://{tmp_path}/far"
    projects = [copy_project(tmp_path / name) for name in ("one", "two", "three")]
    for project in projects:
        (project.folder / "tiny.yaml").write_text(TINY)
    arguments = ("run", "tiny.yaml", "--store", url, "--until", "evaluate")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda project: project.run(*arguments), projects[:2]))
    projects[2].run(*arguments)
    nodes = [json.loads((p.folder / "runs/tiny/run.json").read_text())["nodes"] for p in projects]
    assert {node["outcome"] for node in nodes[2]} == {"cached"}
    outputs = [{node["id"]: node["outputs"] for node in each} for each in nodes]
    assert outputs[0] == outputs[1] == outputs[2]
    assert not list(tmp_path.rglob("quarantine"))
