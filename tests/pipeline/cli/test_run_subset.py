"""`run --until, --only, --force`: what runs, what is written, and that an earlier submission stays."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.project import Project

SMOKE = "experiments/smoke.yaml"
SWEEP = ("--sweep", "optimize.quantize.bits=8,4")


def record(project: Project) -> Any:
    return json.loads((project.folder / "runs/smoke/run.json").read_text())


def outcomes(project: Project) -> Counter[str]:
    """Return how many nodes of each stage ran."""
    return Counter(node["stage"] for node in record(project)["nodes"] if node["outcome"] == "ran")


def events(project: Project) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project.folder / "runs/smoke/events.jsonl").read_text().splitlines()]


def test_a_part_runs_alone_and_keeps_the_earlier_submission(project: Project) -> None:
    """Of what was not asked for nothing is computed, removed or recorded."""
    before = (project.folder / "runs/smoke/submission.json").read_bytes()
    done = project.run("run", SMOKE, *SWEEP, "--until", "evaluate", "--only", "bits=4")
    assert "7 of 14 nodes: 2 ran, 5 cached" in done.stdout
    assert "there is no submission of it" in done.stdout
    assert outcomes(project) == {"optimize": 1, "evaluate": 1}
    assert record(project)["asked"] == {"until": "evaluate", "only": ["bits=4"], "force": [], "fresh": False}
    assert (project.folder / "runs/smoke/submission.json").read_bytes() == before
    assert "the last run was of a part only (--until evaluate --only 'bits=4')" in project.run("show", "smoke").stdout


def test_a_point_alone_shows_its_figures(project: Project) -> None:
    """On the validation split, and its timing where it was measured."""
    document = project.json("run", SMOKE, "--only", "1")
    (point,) = document["points"]
    submission = json.loads((project.folder / "runs/smoke/submission.json").read_text())
    assert point["size_bytes"] == submission["size"]["optimized"]["stored_bytes"]
    assert point["speedup"] == submission["comparisons"]["speed"]["speedup"]["estimate"]
    assert point["verdict"] == submission["comparisons"]["speed"]["verdict"]
    assert project.json("run", SMOKE, "--until", "evaluate")["points"] == [
        {**point, "speedup": None, "speedup_interval": None, "verdict": None}
    ]
    assert "speed-up" in project.run("run", SMOKE, "--only", "1").stdout


def test_until_submit_makes_a_submission_but_no_report(project: Project) -> None:
    """Everything that feeds it is there."""
    document = project.json("run", SMOKE, "--until", "submit")
    assert document["files"].keys() == {"submission", "evidence"}
    assert document["nodes"]["cached"] == 10


def test_a_forced_stage_runs_and_equal_bytes_stop_there(project: Project) -> None:
    """Training gives the same weights again; the next run has nothing to do."""
    project.run("run", SMOKE, "--force", "train", "--force", "evaluate")
    assert outcomes(project) == {"train": 1, "evaluate": 3}
    project.run("run", SMOKE)
    assert outcomes(project) == {}


def test_events_tell_what_ran_and_count_what_did_not(project: Project) -> None:
    """In the order in which it happened."""
    project.run("run", SMOKE, "--force", "train", "--until", "train")
    started, begun, ended, finished = events(project)
    assert started["nodes"] == 2
    assert started["asked"]["force"] == ["train"]
    assert (begun["event"], begun["reason"]) == ("node_started", "it was asked for again")
    assert (ended["event"], ended["outcome"]) == ("node_finished", "ran")
    assert ended["key"] == begun["key"] == record(project)["nodes"][1]["key"]
    assert finished["outcomes"] == {"cached": 1, "ran": 1}


def test_a_failure_is_in_the_events_with_its_traceback(project: Project) -> None:
    """And so is what did not run because of it."""
    project.edit(
        "tinytorch/passes/quantize.py",
        "    wanted = wanted_settings(",
        "    raise RuntimeError('no')\n    wanted = wanted_settings(",
    )
    project.run("run", SMOKE, "--until", "evaluate", expect=1)
    failed, skipped = (e for e in events(project) if e.get("outcome") in ("failed", "skipped"))
    assert "Traceback" in failed["error"]
    assert "RuntimeError: no" in failed["error"]
    assert skipped["reason"] == "optimize quantize bits=8 gave no result"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--until", "benchmrk"), "did you mean 'benchmark'?"),
        (("--force", "benchmrk"), "did you mean 'benchmark'?"),
        (("--only", "bits=3"), "points are numbered 1 to 2"),
        (("--only", "1", "--until", "report"), "belongs to no single point"),
    ],
)
def test_what_is_not_there_is_bad_input(arguments: tuple[str, ...], said: str, project: Project) -> None:
    """Before anything runs or is written."""
    before = record(project)
    assert said in project.run("run", SMOKE, *SWEEP, *arguments, expect=2).stderr
    assert record(project) == before
