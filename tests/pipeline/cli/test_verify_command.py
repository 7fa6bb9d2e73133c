"""`pipeline verify` as an organiser calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.submission.verification import read_verification
from tests.project import Project

RUN = "runs/smoke"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to, which nobody else uses."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_run_is_verified_and_recorded(project: Project) -> None:
    """All that can be compared is the same; the exit code is that of the outcome, and the record has every check."""
    done = project.run("verify", RUN, "--record", "records/smoke.json", "--quiet", expect=(0, 4, 5))
    record = read_verification(project.folder / "records/smoke.json")
    outcomes = {check["id"]: check["outcome"] for check in record["checks"]}
    assert {outcomes[check] for check in ("V002", "V020", "V021", "V030", "V032", "V033", "V034", "V035")} == {"same"}
    assert (done.returncode == 0) == (record["outcome"] == "reproduced")
    assert record["scope"] == {"points": "all", "rebuilt": 1, "listed": 1, "measured": True}
    assert record["environment"] == []
    assert "records/smoke.json" in done.stdout


def test_variables_that_choose_kernels_are_those_of_the_submission(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that asks BLAS for other kernels trains no other model than the one that is stated."""
    submission = json.loads((project.folder / RUN / "submission.json").read_text())
    stated = submission["provenance"]["environment"].get("OPENBLAS_CORETYPE")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott" if stated != "Prescott" else "Haswell")
    document = project.json("verify", RUN, "--no-measure", "--quiet", expect=4)
    assert document["environment"] == []
    assert {check["outcome"] for check in document["checks"] if check["id"] == "V030"} == {"same"}


def test_what_is_not_measured_is_not_reproduced(project: Project) -> None:
    """Without a measurement nothing differs, and nothing is reproduced; the same as a document."""
    document = project.json("verify", RUN, "--no-measure", "--quiet", expect=4)
    assert (document["outcome"], document["level"], document["speed"]) == ("inconclusive", "recomputed", None)


def test_a_submission_that_breaks_a_rule_is_recorded_as_invalid(project: Project) -> None:
    """It is not run again."""
    evidence = project.folder / RUN / "evidence.safetensors"
    data = bytearray(evidence.read_bytes())
    data[-5] ^= 1
    evidence.write_bytes(data)
    done = project.run("verify", RUN, "--record", "records/smoke.json", "--quiet", expect=4)
    record = read_verification(project.folder / "records/smoke.json")
    assert (record["outcome"], record["level"]) == ("invalid", None)
    assert record["checks"][0]["message"].startswith("R01")
    assert "R010" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--record", f"{RUN}/record.json"], "lies beside the submission"),
        (["--record", "record.txt"], "a .json file"),
        (["--root", "digits"], "NAME=PATH"),
        (["--timeout", "never"], "a time such as"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(project: Project, arguments: list[str], message: str) -> None:
    """Before anything is run."""
    assert message in project.run("verify", RUN, *arguments, expect=2).stderr


def test_what_is_no_submission_is_named(project: Project) -> None:
    """An experiment is not what is verified; the message says which file, and what to give instead."""
    said = project.run("verify", "experiments/smoke.yaml", expect=(2, 4)).stderr
    assert "experiments/smoke.yaml" in said
    assert "submission.json" in said or "there is no run" in said


def test_a_submission_that_is_a_link_is_refused(project: Project) -> None:
    """What lies elsewhere was not handed in."""
    (project.folder / "linked.json").symlink_to(project.folder / RUN / "submission.json")
    assert "is a link" in project.run("verify", "linked.json", expect=4).stderr


def test_a_time_limit_ends_it_and_removes_what_was_built(project: Project, scratch: Path) -> None:
    """Nothing is left behind, and no record is written."""
    done = project.run("verify", RUN, "--timeout", "0.2s", "--record", "records/smoke.json", "--quiet", expect=1)
    assert "--timeout" in done.stderr
    assert list(scratch.iterdir()) == []
    assert not (project.folder / "records").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_removes_what_was_built(project: Project, scratch: Path, number: signal.Signals) -> None:
    """At once, with the exit code of an interruption."""
    environment = {**os.environ, "PYTHONPATH": str(project.folder)}
    command = [sys.executable, "-m", "pipeline", "verify", RUN, "--quiet"]
    process = subprocess.Popen(command, cwd=project.folder, env=environment, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(scratch.glob("verify-*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted" in said
    assert list(scratch.iterdir()) == []
