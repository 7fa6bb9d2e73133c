"""What `plan` and `run --dry-run` say of a part of an experiment, how long it takes, and how it is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.cli.graph import Drawn, draw
from pipeline.cli.main import main
from pipeline.execute import catalog
from tests.project import Project

SMOKE = "experiments/smoke.yaml"
SWEEP = ("--sweep", "optimize.quantize.bits=8,4")


def test_a_part_is_planned_alone(project: Project) -> None:
    """Only the nodes and points that are meant."""
    document = project.json("plan", SMOKE, *SWEEP, "--only", "bits=4", "--until", "optimize")
    assert [node["stage"] for node in document["nodes"]] == ["data", "train", "optimize", "optimize"]
    assert document["asked"] == {"until": "optimize", "only": ["bits=4"], "force": [], "fresh": False}
    assert document["timing"] == []
    assert "1 of 2 points, 4 nodes" in project.run("plan", SMOKE, *SWEEP, "--only", "2", "--until", "optimize").stdout


def test_data_that_lie_elsewhere_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the option that says where they are."""
    text = "name: a\ndata: {name: cifar10, root: nowhere}\nmodel: {arch: cnn}\noptimize: [{quantize: {bits: 8}}]\n"
    (tmp_path / "a.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "a.yaml"]) == 2
    said = capsys.readouterr().err
    assert "found nothing there" in said
    assert "--set data.root=FOLDER" in said


def test_a_stage_that_is_forced_runs_and_what_follows_may(project: Project) -> None:
    """It depends on whether other bytes come out."""
    nodes = project.json("plan", SMOKE, "--force", "train")["nodes"]
    found = {node["stage"]: (node["status"], node["reason"]) for node in nodes}
    assert found["data"] == ("cached", "")
    assert found["train"] == ("run", "it was asked for again")
    assert found["benchmark"] == ("may run", "if train, optimize changes its input")


def test_fresh_measures_again(project: Project) -> None:
    """What is not measured stays."""
    nodes = project.json("plan", SMOKE, "--fresh")["nodes"]
    assert {node["stage"] for node in nodes if node["status"] == "run"} == {"profile", "benchmark"}


def test_a_plan_warns_of_claims_that_so_few_processes_cannot_make(project: Project) -> None:
    """Six points at two processes each are told what to set; at four nothing is said."""
    many = ("--sweep", "optimize.quantize.bits=8,4", "--sweep", "optimize.prune.sparsity=0.2,0.4,0.5")
    few = project.run("plan", SMOKE, *many, "--set", "benchmark.processes=2").stdout
    assert "all 6 points are claims to be corrected for (Holm): 2 processes that differ by 1 %" in few
    assert "claim a speed-up from 1.75x on, 3 from 1.09x (benchmark.processes" in few
    assert "Holm" not in project.run("plan", SMOKE, *many, "--set", "benchmark.processes=4").stdout


def test_a_dry_run_is_a_plan(project: Project) -> None:
    """Nothing runs, nothing is written."""
    before = {path: path.stat().st_mtime_ns for path in (project.folder / "runs").rglob("*")}
    arguments = (SMOKE, *SWEEP, "--until", "evaluate")
    assert project.run("run", *arguments, "--dry-run").stdout == project.run("plan", *arguments).stdout
    assert {path: path.stat().st_mtime_ns for path in (project.folder / "runs").rglob("*")} == before


def test_estimates_come_from_earlier_runs(project: Project) -> None:
    """Of each node that runs, and of all; what nothing is known of is counted."""
    document = project.json("plan", SMOKE, "--set", "model.train.epochs=3")
    seconds = {node["stage"]: node["seconds"] for node in document["nodes"]}
    assert seconds["data"] is None  # cached
    assert seconds["benchmark"] > 0
    assert document["seconds"]["at_most"] >= document["seconds"]["run"] > 0
    assert document["seconds"]["unknown_nodes"] == 0
    project.edit(SMOKE, "  - quantize", "  - finetune: {epochs: 1}\n  - quantize")
    assert project.json("plan", SMOKE)["seconds"]["unknown_nodes"] == 1
    assert "not counted: 1 node of a kind that never ran here" in project.run("plan", SMOKE).stdout


def test_nothing_to_do_takes_no_time(project: Project) -> None:
    """No estimate is shown."""
    assert project.json("plan", SMOKE)["seconds"] == {"run": 0, "at_most": 0, "unknown_nodes": 0}
    assert "about" not in project.run("plan", SMOKE).stdout


def test_a_tree_of_text_has_every_node_once(project: Project) -> None:
    """Below what it works on; a submission of several points stands by itself."""
    lines = project.run("plan", SMOKE, *SWEEP, "--graph", "text").stdout.splitlines()
    assert lines[0] == "data digits  (cached)"
    assert lines[1] == "└─ train mlp seed=0  (cached)"
    assert any(line.startswith("submit  (") for line in lines)
    assert len(lines) == len(project.json("plan", SMOKE, *SWEEP)["nodes"])


@pytest.mark.parametrize(("form", "edge"), [("mermaid", r"n(\d+) --> n(\d+)"), ("dot", r"n(\d+) -> n(\d+);")])
def test_other_forms_have_the_edges_of_the_document(form: str, edge: str, project: Project) -> None:
    """Those that do not follow from others."""
    text = project.run("plan", SMOKE, "--graph", form).stdout
    document = project.json("plan", SMOKE, "--graph", form)
    assert document[form] == text.rstrip("\n")
    assert [[int(a), int(b)] for a, b in re.findall(edge, text)] == document["edges"]
    assert text.count("data digits") == 1


HOSTILE = Drawn(((1, 'a"]; b\\ <i>`c`', "run"),), (), {1: None}, {1: 0})


def test_a_label_cannot_leave_its_quotes() -> None:
    """Labels hold values of the file."""
    (label,) = re.findall(r'n1\["(.*)"\]', draw(HOSTILE, "mermaid"))
    assert not set('"<>`\\') & set(label)
    assert r'[label="a\"]; b\\ <i>`c`", ' in draw(HOSTILE, "dot")


def test_a_deep_recipe_is_no_problem_to_draw() -> None:
    """A tree of thousands of levels."""
    count = 3000
    nodes = tuple((number, f"node {number}", "run") for number in range(1, count + 1))
    above: dict[int, int | None] = {number: number - 1 or None for number in range(1, count + 1)}
    assert len(draw(Drawn(nodes, (), above, dict.fromkeys(above, 1)), "text").splitlines()) == count


@pytest.mark.parametrize(("version", "warns"), [("absent", True), ("2.9.0", False)])
def test_a_comparison_without_pytorch_is_told_before_it_runs(
    version: str, warns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would time ours alone, for many minutes."""
    monkeypatch.setattr(catalog, "library_version", lambda module: version)
    file = tmp_path / "both.yaml"
    file.write_text("name: both\nframeworks: {cases: [{linear: {inputs: 32, outputs: 16}}]}\n")
    assert main(["plan", str(file), "--store", str(tmp_path / "store")]) == 0
    assert ("warning: PyTorch is not installed" in capsys.readouterr().out) is warns
