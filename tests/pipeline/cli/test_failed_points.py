"""A sweep of which some points fail: the others have their submission, which says what failed, and exit code 1."""

from __future__ import annotations

import json

import pytest

from tests.project import Project

SMOKE = "experiments/smoke.yaml"
FAILING = "optimize prune structured sparsity=0.001"  # of 16 neurons nothing is removed, which is an error


@pytest.fixture
def sweep(project: Project) -> Project:
    """A project in which the second of three points fails."""
    with (project.folder / SMOKE).open("a") as file:
        file.write("sweep: {grid: {optimize.prune.sparsity: [0.25, 0.001, 0.5]}}\n")
    return project


def test_points_that_did_not_fail_are_submitted(sweep: Project) -> None:
    """Result, files and failure are all shown; the next run computes nothing that is finished."""
    done = sweep.run("run", SMOKE, expect=1)
    assert "chosen from 2 points" in done.stdout
    assert "1 point failed and took no part" in done.stdout
    assert "error E300" in done.stderr
    assert "skipped  submit" not in done.stderr
    submission = json.loads((sweep.folder / "runs/smoke/submission.json").read_text())
    assert [point["index"] for point in submission["selection"]["points"]] == [0, 2]
    (failed,) = submission["selection"]["failed"]
    assert (failed["index"], failed["point"], failed["node"]) == (1, {"optimize.prune.sparsity": 0.001}, FAILING)
    assert "removed no unit" in failed["reason"]
    assert "took no part" in (sweep.folder / "runs/smoke/report.md").read_text()
    sweep.run("validate", "runs/smoke/submission.json")

    again = sweep.json("run", SMOKE, expect=1)
    assert again["exit_code"] == again["error"]["exit_code"] == 1
    assert (again["nodes"]["ran"], again["nodes"]["failed"]) == (0, 1)
    assert again["submission"]["selection"]["failed"] == [failed]
    nodes = json.loads((sweep.folder / "runs/smoke/run.json").read_text())["nodes"]
    assert [node["label"] for node in nodes if node["outcome"] == "failed"] == [FAILING]
    assert [node["outcome"] for node in nodes if node["stage"] in ("submit", "report")] == ["cached", "cached"]


def test_nothing_is_submitted_where_the_run_ended_at_the_failure(sweep: Project) -> None:
    """With --fail-fast the other points may be missing for no reason of their own."""
    (sweep.folder / "runs/smoke/submission.json").unlink()
    done = sweep.run("run", SMOKE, "--fail-fast", expect=1)
    assert "removed no unit" in done.stderr
    assert not (sweep.folder / "runs/smoke/submission.json").exists()


def test_nothing_is_submitted_where_all_points_fail(project: Project) -> None:
    """There is nothing to choose from."""
    done = project.run("run", SMOKE, "--sweep", "optimize.prune.sparsity=0.001,0.002", expect=1)
    assert done.stdout == ""
    assert "skipped  submit" in done.stderr
