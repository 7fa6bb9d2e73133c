"""The real command is killed at random moments: the next run goes on from there, and loses and believes nothing.

The quick part kills a few times; `python -m pytest -m slow tests/test_kill.py` kills a hundred times without and a
hundred times with workers.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests import killing
from tests.killing import Undisturbed
from tests.project import Project, copy_project

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found by /proc")

HEAD = """
name: tiny
data: {name: synthetic, args: {size: 4, classes: 3, train: 60, validation: 20, test: 20}}
model: {arch: mlp, args: {hidden: [8]}, train: {epochs: 1}}
vars: {sparsity: 0.25}
optimize:
  - prune: {sparsity: "${sparsity}"}
  - quantize: {bits: 8}
goals: [{minimize: size_bytes}]
benchmark: {processes: 2, target_ci: 0.9, budget_s: 0.1, wait_s: 0}
outputs: {report: [md]}
"""
# Of 8 neurons 2 go with each sparsity up to 0.28: nodes of one key at once, and one benchmark for all.
SWEEP = HEAD + "sweep: {grid: {sparsity: [0.25, 0.26]}}"
SEARCH = HEAD + "sweep: {search: {trials: 6, batch: 2, axes: {sparsity: {choice: [0.25, 0.26, 0.27, 0.28, 0.5]}}}}"
RUN = ("run", "tiny.yaml")
MANY, SEARCHES = 100, 10
WORKERS = {"alone": (), "workers": ("--workers", "2")}
FEW = [(3, "alone"), (6, "workers")]  # a process that measures, a worker at a write


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Undisturbed]:
    """A project with a tiny sweep, and what a run of it gives that nobody kills."""
    return make_arena(tmp_path_factory.mktemp("arena"), SWEEP)


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Undisturbed]:
    """A project with a tiny search, and what it finds when nobody kills it."""
    pytest.importorskip("optuna")
    return make_arena(tmp_path_factory.mktemp("searching"), SEARCH)


def make_arena(folder: Path, text: str) -> tuple[Project, Undisturbed]:
    project = copy_project(folder)
    (project.folder / "tiny.yaml").write_text(text)
    return project, killing.undisturbed(project, *RUN)


def kill_and_recover(arena: tuple[Project, Undisturbed], number: int, mode: str) -> None:
    """Kill a run from nothing at the moment with this number, then check what the next one does."""
    project, expected = arena
    moment = next(itertools.islice(killing.moments(MANY, expected.writes, seed=2026), number, None))
    killing.forget(project)
    killing.run_and_kill(project, moment, expected.seconds, *RUN, *WORKERS[mode])
    killing.check_recovery(project, expected, *RUN, *WORKERS[mode])


@pytest.mark.parametrize(("number", "mode"), FEW)
def test_a_killed_run_is_taken_up_where_it_was(arena: tuple[Project, Undisturbed], number: int, mode: str) -> None:
    """Nothing is corrupt, nothing finished is computed again, the results are those of an undisturbed run."""
    kill_and_recover(arena, number, mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", WORKERS)
@pytest.mark.parametrize("number", range(MANY))
def test_a_run_killed_at_any_moment_is_taken_up(arena: tuple[Project, Undisturbed], number: int, mode: str) -> None:
    """The same at a hundred moments, without workers and with two."""
    kill_and_recover(arena, number, mode)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SEARCHES))
def test_a_killed_search_tries_the_same_points(searching: tuple[Project, Undisturbed], number: int) -> None:
    """What is asked for next hangs on what is stored, and not on who asks for it when."""
    kill_and_recover(searching, number, "workers" if number % 2 else "alone")
