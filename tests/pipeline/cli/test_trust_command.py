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


def test_compare_and_gate_believe_no_forgery(project: Project) -> None:
    """They say how far both files are to be trusted, and compute them again before anything is compared."""
    (project.folder / "baseline.json").write_bytes((project.folder / SUBMISSION).read_bytes())
    gate = ("gate", SUBMISSION, "--against", "baseline.json", "--max-growth", "1%")
    assert project.run(*gate).stdout.startswith(f"{SUBMISSION} (recomputed)\nagainst baseline.json (valid)\n")
    assert project.json(*gate)["trust"] == {"run": "recomputed", "against": "valid"}
    compared = project.run("compare", "baseline.json", SUBMISSION).stdout
    assert compared.startswith(f"A  baseline.json (valid)\nB  {SUBMISSION} (recomputed)\n")
    document = json.loads((project.folder / SUBMISSION).read_text(encoding="utf-8"))
    document["comparisons"]["speed"]["speedup"]["estimate"] *= 2
    (project.folder / SUBMISSION).write_text(json.dumps(document), encoding="utf-8")
    for command in (gate, ("compare", "baseline.json", SUBMISSION)):
        assert "comparisons.speed.speedup.estimate" in project.run(*command, expect=4).stderr


def test_rules_are_explained_like_errors(project: Project) -> None:
    """By their ids, in any case."""
    assert project.run("explain", "r026").stdout.startswith("R026: The figures in the course's format")
    assert "\nR030  Every accuracy is correct over evaluated" in project.run("explain").stdout
