"""A run that is killed while it trains: the next one continues there, to the same model, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store.record import Record
from tests.project import Project, copy_project

FILE = """
name: long
data: {name: digits}
model:
  arch: cnn
  args: {width: 2, depth: 1, dropout: 0.1}
  train: {epochs: 24, schedule: one_cycle, augment: {crop: 1}, workers: 2}
optimize:
  - finetune: {epochs: 24, schedule: one_cycle, augment: {crop: 1}}
"""
# A training that has told of this epoch goes no further until it is killed.
WAIT = """
                    if str(epoch) == __import__("os").environ.get("WAIT_AFTER"):
                        __import__("time").sleep(600)
"""
COMMAND = ("run", "long.yaml", "--until", "optimize")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that keeps the state of a training after every epoch, not every ten seconds, and waits where asked."""
    made = copy_project(tmp_path_factory.mktemp("project"))
    made.edit("tinytorch/core/watching.py", "_EVERY_S = 10.0", "_EVERY_S = 0.0")
    told = "                    watch.say(_line(history[-1], settings.epochs))\n"
    made.edit("tinytorch/core/fitting.py", told, told.rstrip("\n") + WAIT)
    (made.folder / "long.yaml").write_text(FILE)
    return made


def killed_after(project: Project, training: str, epoch: int, store: str) -> None:
    """Run until stderr has a line about this epoch of a training, then SIGKILL."""
    text = f"{training}: epoch {epoch} of 24"
    environment = {**os.environ, "PYTHONPATH": str(project.folder), "WAIT_AFTER": str(epoch)}
    command = [sys.executable, "-m", "pipeline", *COMMAND, "--store", store]
    with subprocess.Popen(command, cwd=project.folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if text in line:
                os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def models(project: Project, store: str) -> list[str]:
    """Return the digests of all models in a store."""
    records = sorted((project.folder / store / "actions").glob("*/*.json"))
    outputs = [Record.from_json(json.loads(path.read_bytes())).outputs for path in records]
    return [one["model"].digest for one in outputs if "model" in one]


def test_a_killed_run_continues_to_the_same_models(project: Project) -> None:
    """Killed in training and again in finetuning, it ends with the bytes of a run that nobody killed."""
    killed_after(project, "train cnn seed=0", 9, "killed")
    (state,) = (project.folder / "killed" / "unfinished").glob("*/*")
    assert state.name.startswith("fit-")
    killed_after(project, "finetune epochs=24", 5, "killed")
    said = project.run(*COMMAND, "--store", "killed").stderr
    assert "training continues after epoch 5, where it was interrupted" in said
    assert "epoch 5 of 24" not in said
    project.run(*COMMAND, "--store", "whole")
    assert len(models(project, "killed")) == 2
    assert models(project, "killed") == models(project, "whole")
    assert list((project.folder / "killed" / "unfinished").iterdir()) == []


def test_what_nobody_continues_is_collected(project: Project) -> None:
    """`store gc` removes the state of a training that was given up, and a run does not need it."""
    killed_after(project, "train cnn seed=0", 3, "given-up")
    kept: list[Path] = list((project.folder / "given-up" / "unfinished").glob("*/*"))
    assert kept
    os.utime(kept[0], (0, 0))
    project.run("store", "gc", "--store", "given-up")
    assert not kept[0].exists()
