"""A comparison of frameworks from the experiment file to the report, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.project import copy_project

EXPERIMENT = """
name: both
frameworks:
  {processes: 2, target_ci: 0.9, budget_s: 0.1, wait_s: 0, cases: [{linear: {inputs: 32, outputs: 16}}]}
"""


def test_a_comparison_ends_in_a_report(tmp_path: Path) -> None:
    """Run, read again, checked; a second run measures nothing, and a changed figure is found."""
    pytest.importorskip("torch")
    project = copy_project(tmp_path)
    (tmp_path / "experiments/both.yaml").write_text(EXPERIMENT)
    shown = project.run("run", "experiments/both.yaml", expect=(0, 5)).stdout
    assert "linear 32x16" in shown
    assert {path.name for path in (tmp_path / "runs/both").iterdir()} == {
        *("events.jsonl", "frameworks.json", "report.html", "report.md", "run.json")
    }
    assert "valid comparison of frameworks" in project.run("validate", "runs/both/frameworks.json").stdout
    assert project.run("report", "both").stdout.strip() in shown
    page = (tmp_path / "runs/both/report.html").read_text()
    assert project.run("report", "both", "--format", "html", "--out", "-").stdout.rstrip("\n") == page.rstrip("\n")
    plan = project.run("plan", "experiments/both.yaml").stdout
    assert "both: 1 case, 3 nodes: 3 cached" in plan
    project.run("run", "experiments/both.yaml", expect=(0, 5))
    assert {n["outcome"] for n in json.loads((tmp_path / "runs/both/run.json").read_text())["nodes"]} == {"cached"}
    for command in (("plan", "experiments/both.yaml", "--only", "1"), ("report", "both", "--format", "csv")):
        assert "error E200" in project.run(*command, expect=2).stderr
    document = json.loads((tmp_path / "runs/both/frameworks.json").read_text())
    document["rows"][0]["ratio"]["estimate"] *= 2
    (tmp_path / "runs/both/frameworks.json").write_text(json.dumps(document))
    assert "follows from the rest" in project.run("validate", "runs/both/frameworks.json", expect=2).stdout
