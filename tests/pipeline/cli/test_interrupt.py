"""The real command, stopped from outside: what was running is finished, what is finished is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.processes import descendants, wait_until_gone
from tests.project import ROOT, Project

SMOKE = "experiments/smoke.yaml"
CHANGED = ("--set", "model.train.epochs=3")  # nothing of this is stored
# A benchmark that goes on for a minute, however precise it is by then: time enough to be interrupted in.
LONG = ("--set", "benchmark.budget_s=60", "--set", "benchmark.target_ci=0.00001")


@contextmanager
def running(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pipeline", "run", SMOKE, *CHANGED, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(project.folder)}
    process = subprocess.Popen(
        command, cwd=project.folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_first_signal_lets_what_runs_finish(project: Project, workers: str, number: signal.Signals) -> None:
    """The exit code is 130, the run's record is written, and the next run goes on from there."""
    with running(project, "--workers", workers, *LONG) as process:
        wait_for(process, "train mlp")
        os.killpg(process.pid, number)
        rest = process.communicate(timeout=300)[1]
    assert process.returncode == 130, rest
    assert "again to stop at once" in rest
    assert "error E130: stopped; " in rest
    record = json.loads((project.folder / "runs" / "smoke" / "run.json").read_text())
    outcomes = {node["label"]: node["outcome"] for node in record["nodes"]}
    assert outcomes["train mlp seed=0"] == "ran"
    assert outcomes["report"] == "skipped"
    nodes = project.json("plan", SMOKE, *CHANGED, *LONG)["nodes"]
    kept = {node["node"] for node in nodes if node["status"] == "cached"}
    assert kept == {label for label, outcome in outcomes.items() if outcome in ("ran", "cached")}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_running(project: Project) -> None:
    """The second signal ends workers, and what measures in them."""
    with running(project, "--workers", "2", *LONG) as process:
        wait_for(process, "evaluate optimized")
        children = list(descendants(process.pid))
        os.killpg(process.pid, signal.SIGINT)
        wait_for(process, "again to stop at once")
        os.killpg(process.pid, signal.SIGINT)
        rest = process.communicate(timeout=300)[1]
    assert process.returncode == 130, rest
    assert children
    wait_until_gone(children)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_command_leaves_nothing_running(project: Project, workers: str) -> None:
    """Workers notice that their parent is gone, and what measures dies with whoever started it."""
    with running(project, "--workers", workers, *LONG) as process:
        wait_for(process, "evaluate optimized")
        while len(children := list(descendants(process.pid))) < int(workers):
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.01)
        process.kill()
    wait_until_gone(children)


def test_an_interrupt_in_the_middle_of_an_exec_ends_with_130() -> None:
    """Python itself would end by the signal then, which is no exit code; dataclasses are made by exec."""
    code = """
import pipeline.cli.main, pipeline.__main__
def interrupted():
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return 130
pipeline.cli.main.main = interrupted
pipeline.__main__.main()
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 130
