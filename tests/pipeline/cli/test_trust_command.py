"""`pipeline validate` computes a run's submission again from what lies beside it, and names the rule of a change."""

from __future__ import annotations

import json

from tests.project import Project

SUBMISSION = "runs/smoke/submission.json"


def test_a_run_is_recomputed_and_a_change_named(project: Project) -> None:
    """With its evidence, without, with another's, and with one figure changed."""
    assert project.run("validate", SUBMISSION).stdout == f"{SUBMISSION}: recomputed submission, version 2\n"
    assert project.json("validate", SUBMISSION)["files"][0]["trust"] == "recomputed"
    evidence, file = project.folder / "runs/smoke/evidence.safetensors", project.folder / SUBMISSION
    data = evidence.read_bytes()
    evidence.unlink()
    assert project.run("validate", SUBMISSION).stdout == f"{SUBMISSION}: valid submission, version 2\n"
    evidence.write_bytes(data[:-1] + b"!")
    assert "pipeline explain R010" in project.run("validate", SUBMISSION, expect=4).stdout
    evidence.write_bytes(data)
    document = json.loads(file.read_text(encoding="utf-8"))
    document["improvements"]["speedup"] *= 2
    file.write_text(json.dumps(document), encoding="utf-8")
    assert "improvements.speedup" in project.run("validate", SUBMISSION, expect=4).stdout


def test_rules_are_explained_like_errors(project: Project) -> None:
    """By their ids, in any case."""
    assert project.run("explain", "r026").stdout.startswith("R026: The figures in the course's format")
    assert "\nR030  Every accuracy is correct over evaluated" in project.run("explain").stdout
