"""`pipeline ablate` and `ablate: true` end to end: figures, files, cache, steps that need others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.submission.validate import schema_problems
from tests.project import Project, copy_project

FILE = """
name: tiny
data: {name: synthetic, args: {size: 4, classes: 3, train: 60, validation: 20, test: 20}}
model: {arch: mlp, args: {hidden: [16]}, train: {epochs: 2}}
optimize: [{prune: {sparsity: 0.5}}, {quantize: {bits: 8}}]
benchmark: {processes: 2, target_ci: 0.9, budget_s: 0.2, wait_s: 0}
outputs: {report: [md]}
"""
NEEDED = FILE.replace("tiny", "needed").replace(
    "[{prune: {sparsity: 0.5}}, {quantize: {bits: 8}}]", "[{low_rank: {keep: 0.4}}, {quantize: {targets: [fc1.*]}}]"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy_project(tmp_path_factory.mktemp("ablate"))
    (made.folder / "tiny.yaml").write_text(FILE)
    (made.folder / "needed.yaml").write_text(NEEDED)
    made.run("ablate", "tiny.yaml", expect=(0, 5))
    return made


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / f"runs/tiny/{name}.json").read_text())


def test_the_document_is_valid_and_belongs_to_the_submission(project: Project) -> None:
    """It keeps its schema, and the whole recipe's models are the submitted ones."""
    ablation, submission = read(project, "ablation"), read(project, "submission")
    assert schema_problems("ablation.v1", ablation, "ablation.json", "E502") == []
    assert ablation["weights"] == submission["provenance"]["weights"]
    assert ablation["whole"]["accuracy"]["test"] == submission["comparisons"]["accuracy"]
    assert ablation["whole"]["size"] == submission["comparisons"]["size"]


def test_contributions_chain(project: Project) -> None:
    """In order, each step starts from the model that the one before it made; left out, all end with the same one."""
    prune, quantize = read(project, "ablation")["steps"]
    assert prune["in_order"]["after"] == quantize["in_order"]["before"]
    assert prune["left_out"]["after"] == quantize["left_out"]["after"] == quantize["in_order"]["after"]
    assert prune["alone"]["before"] == quantize["alone"]["before"]
    assert quantize["left_out"]["before"]["steps"] == ["prune"]


def test_claims_are_corrected_for_all_that_was_timed(project: Project) -> None:
    """Two steps are four comparisons, and each says so."""
    ablation = read(project, "ablation")
    timed = [step[aspect]["speed"] for step in ablation["steps"] for aspect in ("alone", "left_out")]
    assert ablation["compared"] == 4
    assert {speed["compared"] for speed in timed} == {4}
    assert len({speed["samples"] for speed in timed}) == 4


def test_asked_again_nothing_is_computed(project: Project) -> None:
    """What a step contributes is cached like all else, and its file stays as it is."""
    before = (project.folder / "runs/tiny/ablation.json").read_bytes()
    answer = project.json("run", "tiny.yaml", "--set", "ablate=true", expect=(0, 5))
    assert answer["nodes"]["ran"] == 0
    assert (project.folder / "runs/tiny/ablation.json").read_bytes() == before


def test_a_submission_of_another_point_is_not_replaced_in_silence(project: Project) -> None:
    """A sweep's chosen point may have been there; what is exported next is the ablated one."""
    path = project.folder / "runs/tiny/submission.json"
    path.write_text(path.read_text().replace('"model_name": "mlp optimized"', '"model_name": "mlp sparsity=0.7"'))
    done = project.run("ablate", "tiny.yaml", expect=(0, 5))
    assert "runs/tiny held the submission of mlp sparsity=0.7; it is now that of mlp optimized" in done.stderr
    assert "held the submission" not in project.run("ablate", "tiny.yaml", expect=(0, 5)).stderr


def test_a_changed_step_computes_only_what_has_it(project: Project) -> None:
    """With other bits, nothing that leaves quantization out is made again."""
    nodes = project.json("plan", "tiny.yaml", "--set", "ablate=true", "--set", "optimize.quantize.bits=4")["nodes"]
    cached = {node["node"] for node in nodes if node["status"] == "cached"}
    rest = {node["node"] for node in nodes if node["status"] != "cached"}
    assert {"optimize prune structured sparsity=0.5", "benchmark prune alone", "evaluate baseline"} <= cached
    assert {"benchmark quantize alone", "benchmark without prune", "benchmark without quantize", "ablation"} <= rest


def test_plan_foresees_the_ablation_of_a_single_point(project: Project) -> None:
    """Before anything runs, the plan lists what is compared."""
    text = project.run("plan", "tiny.yaml", "--set", "ablate=true", "--set", "seeds=[7]").stdout
    assert "without prune" in text
    assert "ablation" in text


def test_plan_says_what_follows_where_the_point_is_not_known_yet(project: Project) -> None:
    """Which point of a sweep is submitted is known when all are measured."""
    text = project.run("plan", "tiny.yaml", "--set", "ablate=true", "--sweep", "optimize.quantize.bits=8,4").stdout
    assert "then the steps of the point that is submitted, each alone and left out: at most 4 comparisons more" in text


def test_an_ablation_belongs_to_no_part_of_a_plan(project: Project) -> None:
    """Asked for one point of a sweep, nothing is submitted, and nothing ablated."""
    only = ("--only", "bits=8", "--until", "evaluate", "--sweep", "optimize.quantize.bits=8,4")
    answer = project.json("run", "tiny.yaml", "--set", "ablate=true", "--out", "part", *only)
    assert answer["ablation"] is None
    assert "ablation" not in answer["files"]


def test_the_reports_show_it(project: Project) -> None:
    """That of the run, one that is made of it later, and the terminal."""
    title = "## What each step contributes"
    assert title in (project.folder / "runs/tiny/report.md").read_text()
    assert title in project.run("report", "tiny", "--format", "md", "--out", "-").stdout
    assert "left out: the whole recipe" in project.run("show", "tiny").stdout
    project.run("paper", "tiny")
    assert "**Left out**: the whole recipe" in (project.folder / "runs/tiny/paper/REPORT.md").read_text()


def test_a_step_that_needs_another_one_is_not_compared_without_it(project: Project) -> None:
    """It is no failure: the figures are null, and the reason is the step's own message."""
    found = project.json("ablate", "needed.yaml", expect=(0, 5))["ablation"]
    low_rank, quantize = found["steps"]
    assert quantize["alone"] is None
    assert "matches no layer" in quantize["reasons"]["alone"]
    assert low_rank["left_out"] is None
    assert low_rank["alone"]["size"]["verdict"] == "smaller"
    assert "finished" in project.run("status", "needed").stdout


def test_without_ablate_the_file_goes(project: Project) -> None:
    """A run that was not asked for contributions leaves none behind that could be taken for its own."""
    out = ("--out", "other")
    project.run("ablate", "tiny.yaml", *out, expect=(0, 5))
    project.run("run", "tiny.yaml", *out, expect=(0, 5))
    assert not (project.folder / "other/ablation.json").exists()
