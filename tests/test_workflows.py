"""The workflows for pull requests: who may write, what is pinned, and that nothing of a stranger is executed."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import COMMANDS
from tests.project import ROOT

FOLDER = ROOT / ".github/workflows"
NAMES = ("reproduce", "submission-check", "submission-comment")
WORKFLOWS: dict[str, dict[Any, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.y*ml"))
}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"].values()]
STEPS = [(name, step) for name, job in JOBS for step in job["steps"]]
SCRIPTS = [(f"{name}: {step['name']}", step["run"]) for name, step in STEPS if "run" in step]


def triggers(name: str) -> Any:
    return WORKFLOWS[name][True]  # YAML 1.1 reads the key `on` as true


def test_there_are_the_three_workflows() -> None:
    """Each is looked at below."""
    assert tuple(WORKFLOWS) == NAMES


def test_each_is_started_by_its_own_event() -> None:
    """None by pull_request_target, which would give a stranger's change the rights of the base."""
    assert triggers("submission-check") == {"pull_request": {"paths": ["submissions/**"]}}
    assert triggers("submission-comment") == {
        "workflow_run": {"workflows": [WORKFLOWS["submission-check"]["name"]], "types": ["completed"]}
    }
    assert list(triggers("reproduce")) == ["workflow_dispatch"]


def test_only_the_comment_may_be_written() -> None:
    """By one job; every other right is to read, and is written down."""
    rights = {name: workflow["permissions"] for name, workflow in WORKFLOWS.items()}
    assert rights == {
        "reproduce": {"contents": "read"},
        "submission-check": {"contents": "read"},
        "submission-comment": {},
    }
    own = {name: job["permissions"] for name, job in JOBS if "permissions" in job}
    assert own == {"submission-comment": {"actions": "read", "contents": "read", "pull-requests": "write"}}


def test_actions_are_pinned_by_their_commit() -> None:
    """A tag can be moved; the comment beside it says which version it was."""
    text = "\n".join(path.read_text() for path in FOLDER.iterdir())
    used = re.findall(r"uses: *(.*)", text)
    assert used
    assert [line for line in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_only_the_base_is_checked_out() -> None:
    """Without leaving a token for what is started later."""
    checkouts = [(name, step["with"]) for name, step in STEPS if "actions/checkout" in step.get("uses", "")]
    assert len(checkouts) == len(NAMES)
    for name, settings in checkouts:
        ref = "pull_request.base.ref" if name == "submission-check" else "repository.default_branch"
        assert settings["ref"] == "${{ github.event." + ref + " }}"
        assert settings["persist-credentials"] is False


@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_no_text_of_a_stranger_becomes_a_script(name: str, script: str) -> None:
    """Values come through the environment, and are quoted there."""
    assert "${{" not in script, name
    for line in script.splitlines():
        for found in re.finditer(r"\$\{?(HEAD|AUTHOR|HANDED_IN|NUMBER|SUBMISSION)\b", line):
            is_quoted = line.count('"', 0, found.start()) % 2 == 1
            assert is_quoted or "[[" in line[: found.start()], line


def test_the_token_goes_to_no_step_that_reads_strangers_files() -> None:
    """Only fetching commits and commenting need it."""
    with_token = {f"{name}: {step['name']}" for name, step in STEPS if "TOKEN" in step.get("env", {})}
    assert with_token == {
        "reproduce: Copy the submission",
        "submission-check: Fetch the pull request's commits as data",
        "submission-comment: Fetch the pull request's commits as data",
        "submission-comment: Write the comment",
    }


def test_jobs_end() -> None:
    """Each has a limit of its own."""
    assert all(job["timeout-minutes"] <= 120 for _, job in JOBS)


def test_what_strangers_wrote_is_no_command_to_the_runner() -> None:
    """Where the tool's words are printed, commands are stopped with a token that nobody can guess."""
    printing = [script for _, script in SCRIPTS if "said.txt" in script]
    assert len(printing) == 2
    for script in printing:
        assert script.index("stop-commands::$token") < script.index('cat "$RUNNER_TEMP/said.txt"')


def test_the_tool_is_called_as_it_wants_to_be() -> None:
    """Every command and option in the workflows exists."""
    calls = [line for _, script in SCRIPTS for line in re.findall(r"\bpipeline ([a-z].*(?:\\\n.*)*)", script)]
    assert len(calls) == 2
    for line in calls:
        command = line.split()[0]
        assert command in COMMANDS
        module = importlib.import_module(f"pipeline.cli.{command.replace('-', '_')}")
        source = Path(str(module.__file__)).read_text()
        assert [option for option in re.findall(r"(--[a-z-]+)", line) if f'"{option}"' not in source] == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_scripts_are_bash(name: str, script: str) -> None:
    """They can be read, at least."""
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), name


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_actionlint_has_nothing_to_say() -> None:
    """It knows what GitHub takes."""
    done = subprocess.run(
        ["actionlint", "-format", "{{json .}}", *map(str, FOLDER.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout or "[]") == []
