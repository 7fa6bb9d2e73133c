"""The real command on a store that is deleted under it, on a full disk, and on one that cannot be written."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest

from tests import killing
from tests.killing import Undisturbed
from tests.project import Project, copy_project
from tests.test_kill import RUN, TINY

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found by /proc")

MANY = 60
FEW = (0,)

# Read by every interpreter of the command; the one that comes first to its n-th change of the store deletes it.
_DELETER = """
import os
import shutil
import sys

below, at, done = (os.environ.get(name, "") for name in ("DELETE_BELOW", "DELETE_AT", "DELETE_DONE"))
seen = 0


def watch(event, arguments):
    global seen
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
    elif event in ("os.chmod", "os.mkdir", "os.rename"):
        path = arguments[1] if event == "os.rename" else arguments[0]
    else:
        return
    if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(below):
        return
    seen += 1
    if seen == int(at) and not os.path.exists(done):
        seen += 1
        open(done, "x").close()
        shutil.rmtree(below, ignore_errors=True)


if below:
    sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Undisturbed]:
    """A project with a tiny experiment, and what an undisturbed run of it gives."""
    project = copy_project(tmp_path_factory.mktemp("trouble"))
    (project.folder / "tiny.yaml").write_text(TINY)
    return project, killing.undisturbed(project, *RUN)


def delete_and_recover(arena: tuple[Project, Undisturbed], number: int, *workers: str) -> None:
    """Delete the store at the moment with this number; the run completes all the same, and the next ones find all."""
    project, expected = arena
    draw = random.Random(2026)
    moment = next(itertools.islice((draw.randint(1, expected.writes) for _ in itertools.count()), number, None))
    killing.forget(project)
    (project.folder / "sitecustomize.py").write_text(_DELETER)
    done = project.folder / "deleted"
    done.unlink(missing_ok=True)
    variables = {"DELETE_BELOW": str(project.folder / killing.STORE), "DELETE_AT": str(moment)}
    process = killing.start(project, *RUN, *workers, **variables, DELETE_DONE=str(done))
    assert process.wait(60) in (0, 5), f"write {moment}: {killing.said(project)}"
    assert killing.outputs_of(project) == expected.outputs
    assert killing.start(project, *RUN, *workers).wait(60) in (0, 5), killing.said(project)
    assert killing.start(project, *RUN, *workers).wait(60) in (0, 5), killing.said(project)
    assert {node["outcome"] for node in killing.nodes_of(project)} == {"cached"}
    assert killing.outputs_of(project) == expected.outputs
    assert killing.damaged_objects(project) == []
    store = project.folder / killing.STORE
    assert {".gitignore", "CACHEDIR.TAG"} <= set(os.listdir(store))
    assert not (store / "quarantine").exists()


@pytest.mark.parametrize("number", FEW)
def test_a_store_that_is_deleted_under_a_run_is_made_again(arena: tuple[Project, Undisturbed], number: int) -> None:
    """What was lost is computed again as far as the run needs it; the results are the same."""
    delete_and_recover(arena, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(MANY))
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["inline", "two workers"])
def test_a_store_may_be_deleted_at_any_moment(
    arena: tuple[Project, Undisturbed], number: int, workers: tuple[str, ...]
) -> None:
    """The same at many moments, without and with workers."""
    delete_and_recover(arena, number, *workers)
