"""A search that is killed again and again, or made twice at once, asks for the same points as one left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.experiment import Experiment, as_json
from pipeline.core.sweep import Point
from pipeline.execute.decide import Oracle
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import UNLIMITED
from pipeline.execute.session import Session
from pipeline.search.points import searched
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore
from tests.project import ROOT

pytest.importorskip("optuna", minversion="5.0")

FILE = """\
name: killed
data: {name: synthetic, args: {train: 64, validation: 32, test: 32}}
model: {arch: mlp, args: {hidden: [16]}, train: {epochs: 1}}
vars: {sparsity: 0.5}
optimize: [{prune: {sparsity: "${sparsity}"}}]
sweep:
  search: {trials: 60, axes: {sparsity: {uniform: [0.1, 0.9]}, model.train.lr: {log_uniform: [0.001, 0.1]}}}
goals: [{metric: accuracy, max_drop: 1}, {minimize: size_bytes}]
"""


def finish(experiment: Experiment, root: Path) -> list[Point]:
    """Search to the end in this process, and return the points."""
    store = LocalStore(root)
    with Session(Oracle(store, STAGES), lambda event: None, UNLIMITED, Stop()) as session:
        whole, _, is_complete = searched(experiment, session, lambda nodes: None)
    store.close()
    assert is_complete
    return [as_json(run.point) for run in whole.runs]


def start_and_kill(folder: Path, lines: int, pause_s: float) -> int:
    """Run the command until the journal has grown by so many lines and a little longer; return its length then."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PIPELINE_STORE": str(folder / "store")}
    command = [sys.executable, "-m", "pipeline", "run", "x.yaml", "--quiet"]
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        while _lines(folder) < lines:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        time.sleep(pause_s)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return _lines(folder)


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "store/search").glob("*.journal"))


def test_two_searches_at_once_are_one(tmp_path: Path) -> None:
    """They ask for the same points, and neither disturbs the other's journal."""
    experiment = build(loads(FILE.replace("trials: 60", "trials: 24"), "x.yaml"))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = [pool.submit(finish, experiment, tmp_path / "store") for _ in range(2)]
        first, second = (run.result(timeout=300) for run in runs)
    assert first == second == finish(experiment, tmp_path / "undisturbed")
    assert not list((tmp_path / "store/search").glob("*.damaged"))


@pytest.mark.slow
def test_a_search_survives_being_killed(tmp_path: Path) -> None:
    """Whatever it was doing: drawing points, computing them or telling what they came to."""
    experiment = build(loads(FILE, "x.yaml"))
    (tmp_path / "x.yaml").write_text(FILE)
    moments = random.Random(5)
    length = 0
    for _ in range(6):
        length = start_and_kill(tmp_path, length + moments.randint(1, 40), moments.uniform(0, 0.05))
    points = finish(experiment, tmp_path / "store")
    assert points == finish(experiment, tmp_path / "undisturbed")
    (journal,) = (tmp_path / "store/search").glob("*.journal")
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())
