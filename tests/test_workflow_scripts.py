"""The scripts in the workflows, run as GitHub's runner would, in a clone of a repository with a pull request."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT, Project

PERSON = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
PATH = "submissions/ada/first/submission.json"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *PERSON, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def clone(finished: Project, tmp_path: Path) -> Path:
    """A clone of a repository in which pull request 7 hands in the smoke run."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    git(origin, "commit", "-q", "--allow-empty", "-m", "first")
    subprocess.run(["git", "clone", "-q", str(origin), str(clone)], check=True)
    git(origin, "checkout", "-q", "--detach")
    (origin / PATH).parent.mkdir(parents=True)
    for name in ("submission.json", "evidence.safetensors"):
        shutil.copy(finished.folder / "runs/smoke" / name, (origin / PATH).parent / name)
    git(origin, "add", "submissions")
    git(origin, "commit", "-q", "-m", "Enter")
    git(origin, "update-ref", "refs/pull/7/head", "HEAD")
    git(origin, "checkout", "-q", "main")
    git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub has it
    return clone


def run(clone: Path, workflow: str, step: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script in the clone with a `pipeline` that is this one."""
    document = yaml.safe_load((ROOT / f".github/workflows/{workflow}.yml").read_text())
    scripts = {each["name"]: each.get("run") for job in document["jobs"].values() for each in job["steps"]}
    bin_folder, temporary = clone.parent / "bin", clone.parent / "temporary"
    for folder in (bin_folder, temporary):
        folder.mkdir(exist_ok=True)
    for name, command in {"pipeline": "-m pipeline", "python": ""}.items():
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (bin_folder / name).chmod(0o755)
    known = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(clone.parent),
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(temporary),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_STEP_SUMMARY": str(temporary / "summary.md"),
        "TOKEN": "secret",
        **environment,
    }
    # the runner's own way to call bash
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", scripts[step]]
    return subprocess.run(command, cwd=clone, env=known, capture_output=True, text=True, check=False)


def test_a_pull_request_is_fetched_and_checked(clone: Path) -> None:
    """The answer has the number and the comment; nothing of the pull request is in the work tree."""
    head = git(clone.parent / "origin", "rev-parse", "refs/pull/7/head")
    fetched = run(clone, "submission-check", "Fetch the pull request's commits as data", HEAD=head)
    assert fetched.returncode == 0, fetched.stderr
    settings = {"NUMBER": "7", "HEAD": head, "AUTHOR": "ada", "HANDED_IN": "2026-11-22T12:00:00Z"}
    done = run(clone, "submission-check", "Check it", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = clone.parent / "temporary/answer"
    assert (answer / "number").read_text() == "7\n"
    assert "Submission check: accepted" in (answer / "comment.md").read_text()
    assert (clone.parent / "temporary/summary.md").read_text() == (answer / "comment.md").read_text()
    first, *_, last = done.stdout.splitlines()
    assert last == f"::{first.removeprefix('::stop-commands::')}::"
    assert not (clone / "submissions").exists()


def test_a_refused_pull_request_ends_the_check_with_its_code(clone: Path) -> None:
    """The comment is handed on all the same."""
    head = git(clone.parent / "origin", "rev-parse", "refs/pull/7/head")
    run(clone, "submission-check", "Fetch the pull request's commits as data", HEAD=head)
    settings = {"NUMBER": "7", "HEAD": head, "AUTHOR": "eve", "HANDED_IN": "2026-11-22T12:00:00Z"}
    assert run(clone, "submission-check", "Check it", **settings).returncode == 4
    assert "Submission check: refused" in (clone.parent / "temporary/answer/comment.md").read_text()


def test_a_submission_is_copied_to_be_run_again(clone: Path) -> None:
    """Its two files, out of the pull request."""
    done = run(clone, "reproduce", "Copy the submission", NUMBER="7", SUBMISSION=PATH)
    assert done.returncode == 0, done.stderr
    copied = clone.parent / "temporary/submission"
    assert sorted(path.name for path in copied.iterdir()) == ["evidence.safetensors", "submission.json"]


@pytest.mark.parametrize(
    ("number", "submission"),
    [
        ("7", "submissions/../../etc/passwd"),
        ("7", "/etc/passwd"),
        ("7", f"{PATH};touch x"),
        ("7", f"$(touch x)/{PATH}"),
        ("7 --upload-pack=x", PATH),
        ("main", PATH),
        ("7", "submissions/ada/first/evidence.safetensors"),
    ],
)
def test_odd_inputs_are_refused(clone: Path, number: str, submission: str) -> None:
    """Before anything is fetched."""
    done = run(clone, "reproduce", "Copy the submission", NUMBER=number, SUBMISSION=submission)
    assert done.returncode == 2
    assert not (clone.parent / "temporary/submission").exists()
    assert not (clone / "x").exists()
