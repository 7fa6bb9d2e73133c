"""`status`: what is done, running, failed and left, of a file and of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.status import last_run
from pipeline.core.event import Event, Outcome
from pipeline.execute.journal import Journal
from tests.project import Project

SMOKE = "experiments/smoke.yaml"


def test_a_finished_experiment_has_nothing_left(project: Project) -> None:
    """By its file or by its run's name."""
    for name in (SMOKE, "smoke", "runs/smoke"):
        found = project.json("status", name)
        assert found["state"] == "finished"
        assert found["nodes"] == {"asked": 11, "ended": 11}
        assert found["left"] == {"cached": 11, "run": {}, "may_run": {}, "seconds": 0, "unknown_nodes": 0}
    assert "11 of 11 nodes are stored" in project.run("status", SMOKE).stdout


def test_what_is_left_is_named_by_stage_with_its_time(project: Project) -> None:
    """As the next run of the file would find it."""
    sweep = ("--sweep", "optimize.quantize.bits=8,4")
    left = project.json("status", SMOKE, *sweep)["left"]
    assert left["run"] == {"optimize": 1, "submit": 1}
    assert left["may_run"] == {"evaluate": 1, "benchmark": 1, "report": 1}
    assert left["cached"] == 9
    assert left["seconds"] > 0
    text = project.run("status", SMOKE, *sweep).stdout
    assert "9 of 14 nodes are stored" in text
    assert "as far as earlier runs tell" in text


def test_an_experiment_that_never_ran_says_so(project: Project) -> None:
    """There is no run of this name."""
    project.edit(SMOKE, "name: smoke", "name: other")
    assert project.json("status", SMOKE)["state"] == "never run"
    assert "other has not run in this folder" in project.run("status", SMOKE).stdout


def test_a_failure_of_the_last_run_is_shown(project: Project) -> None:
    """With the last line of its traceback."""
    project.edit(
        "tinytorch/passes/quantize.py",
        "    wanted = wanted_settings(",
        "    raise RuntimeError('no')\n    wanted = wanted_settings(",
    )
    project.run("run", SMOKE, "--until", "evaluate", expect=1)
    found = project.json("status", "smoke")
    assert found["state"] == "failed"
    assert found["failed"] == [{"node": "optimize quantize bits=8", "error": "RuntimeError: no"}]
    assert "failed    optimize quantize bits=8: RuntimeError: no" in project.run("status", "smoke").stdout


HOLD = """
import sys, time
from pathlib import Path
from pipeline.core.event import Event
from pipeline.execute.journal import Journal
command = "python -m pipeline run experiments/smoke.yaml --set model.train.epochs=3"
with Journal(Path("runs/smoke/events.jsonl"), {"command": command, "nodes": 10}) as journal:
    journal(Event("1", "train mlp seed=0", None, "new"))
    print("started", flush=True)
    time.sleep(600)
"""


def test_a_run_is_running_until_its_process_ends(project: Project) -> None:
    """A killed one is said to be killed; what is left is that of its own settings."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, cwd=project.folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        running = project.json("status", "smoke")
        shown = project.run("status", "smoke").stdout
        process.kill()
        process.wait()
    assert running["state"] == "running"
    assert [one["node"] for one in running["running"]] == ["train mlp seed=0"]
    assert running["left"]["run"]["train"] == 1
    assert "running   train mlp seed=0, for " in shown
    assert project.json("status", "smoke")["state"] == "killed"
    assert "cut off   train mlp seed=0" in project.run("status", "smoke").stdout


def test_a_stopped_run_is_said_to_be_one(tmp_path: Path) -> None:
    """By Ctrl-C, which is no failure."""
    path = tmp_path / "events.jsonl"
    with Journal(path, {"nodes": 3}) as journal:
        journal.add_nodes(4)  # of a search
        journal(Event("1", "data", Outcome.CACHED))
        journal(Event("2", "train", None))
        journal(Event("2", "train", Outcome.RAN))
        journal.is_stopped = True
    last = last_run(path)
    assert last is not None
    assert (last.state, last.ended, last.nodes, last.running) == ("stopped", 2, 7, ())


@pytest.mark.parametrize(
    "line",
    [
        {"event": "run_started", "time": "now", "run": 1},
        {"event": "run_started", "time": 1, "run": [1], "nodes": "x", "command": ["rm"]},
        {"event": "run_started", "time": 1, "run": 1, "command": "python -m pipeline run /etc/passwd --out x"},
        {"event": "run_started", "time": 1, "run": 1, "command": "'"},
        {"event": "run_started", "time": 1e300, "run": 1},
    ],
)
def test_foreign_events_do_no_harm(line: dict[str, object], project: Project) -> None:
    """Whoever may write the file may write anything into it."""
    (project.folder / "runs/smoke/events.jsonl").write_text(json.dumps(line) + "\n")
    found = project.json("status", "smoke")
    assert "left" not in found
    assert found["state"] in ("killed", "never run")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("smok",), "did you mean 'smoke'?"),
        (("missing.yaml",), "missing.yaml"),
        (("smoke", "--set", "model.train.epochs=3"), "--set and --sweep go with a file"),
    ],
)
def test_what_is_not_there_is_bad_input(arguments: tuple[str, ...], said: str, project: Project) -> None:
    """With what is."""
    assert said in project.run("status", *arguments, expect=2).stderr
