"""What runs and the store's housekeeping know of each other, with the real command."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.project import Project

SMOKE = "experiments/smoke.yaml"


def damage(project: Project, stage: str, role: str) -> str:
    """Change the content of an object, not its size; return its digest."""
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    digest: str = next(node["outputs"][role] for node in record["nodes"] if node["stage"] == stage)
    path = project.folder / ".pipeline/objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"?" * path.stat().st_size)
    return digest


def test_a_damaged_input_is_computed_again_and_that_is_said(project: Project) -> None:
    """At once by the node that met it, and at the end, with --json, too; the exit code is that of the result."""
    digest = damage(project, "optimize", "model")
    project.edit(SMOKE, "bits: 8", "bits: 4")
    done = project.run("run", SMOKE, "--until", "optimize")
    assert f"object {digest[:12]}: its content does not match its name; it was moved to quarantine" in done.stderr
    assert "it is computed again" in done.stderr
    assert "warning: 1 damaged file of the store moved to .pipeline/quarantine" in done.stderr
    assert os.listdir(project.folder / ".pipeline/quarantine") == [digest]
    assert project.json("store", "verify")["damaged"] == []


def test_a_damaged_result_is_said_in_the_document(project: Project) -> None:
    """Nothing that runs has read it."""
    damage(project, "report", "md")
    messages = project.json("run", SMOKE)["messages"]
    assert [m for m in messages if m.startswith("warning: 1 damaged file")] == messages[-1:]
    assert not any("damaged" in message for message in project.json("run", SMOKE)["messages"])


def test_what_verify_sets_aside_the_next_run_computes_again(project: Project) -> None:
    """And only that."""
    damage(project, "train", "history")
    assert "1 damaged file" in project.run("store", "verify", expect=6).stderr
    assert project.json("run", SMOKE)["nodes"]["ran"] == 1
    assert project.json("store", "verify")["incomplete"] == []


def test_garbage_collection_keeps_all_that_any_run_folder_names(project: Project) -> None:
    """Also one outside of runs/, of which only the store has a note; afterwards neither run computes anything."""
    other = ("run", SMOKE, "--set", "model.train.epochs=3", "--until", "evaluate")
    project.run(*other, "--out", "elsewhere/run")
    gone = ("run", SMOKE, "--set", "model.train.epochs=4", "--until", "train")
    project.run(*gone, "--out", "scratch")
    shutil.rmtree(project.folder / "scratch")
    removed = project.json("store", "gc", "--keep-days", "0")
    assert len(removed["removed_results"]) == 1
    assert project.json(*other, "--out", "elsewhere/run")["nodes"]["ran"] == 0
    assert project.json("run", SMOKE)["nodes"]["ran"] == 0
    assert project.json(*gone)["nodes"]["ran"] == 1


def test_a_run_with_nothing_to_do_counts_as_use(project: Project) -> None:
    """What it found is not the least recently used."""
    project.run("run", SMOKE)
    (day,) = (project.folder / ".pipeline/uses").glob("*/*-*-*")
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    assert set(day.read_text().split()) == {node["key"] for node in record["nodes"]}
    assert Path(os.path.normpath(project.folder / ".pipeline" / (day.parent / "folder").read_text())) == (
        project.folder / "runs/smoke"
    )


def test_after_everything_was_pruned_a_run_computes_it_again(project: Project) -> None:
    """The same bytes come out."""
    path = project.folder / "runs/smoke/run.json"
    before = {node["id"]: node["outputs"] for node in json.loads(path.read_text())["nodes"]}
    assert project.json("store", "prune", "--max-size", "0")["named_by_runs"] == 11
    assert project.json("store", "du")["size_bytes"] == 0
    project.run("run", SMOKE, "--until", "evaluate")
    nodes = json.loads(path.read_text())["nodes"]
    assert {node["outcome"] for node in nodes} == {"ran"}
    assert {node["id"]: node["outputs"] for node in nodes}.items() <= before.items()
