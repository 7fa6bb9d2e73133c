"""The real command on a store that is deleted under it, on a full disk, and on one that cannot be written."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.execute.alone import at_work
from pipeline.store.census import take_census
from pipeline.store.gc import remove, surplus
from pipeline.store.in_use import alone
from tests import killing
from tests.chain import Chain, copy_with_chain
from tests.killing import Undisturbed
from tests.project import Project, copy_project

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found by /proc")

TINY = """
name: tiny
data: {name: synthetic, args: {size: 4, classes: 3, train: 60, validation: 20, test: 20}}
model: {arch: mlp, args: {hidden: [8]}, train: {epochs: 1}}
vars: {sparsity: 0.25}
optimize:
  - prune: {sparsity: "${sparsity}"}
  - quantize: {bits: 8}
sweep: {grid: {sparsity: [0.25, 0.26]}}  # two nodes of one key
benchmark: {processes: 2, target_ci: 0.9, budget_s: 0.1, wait_s: 0}
outputs: {report: [md]}
"""
RUN = ("run", "tiny.yaml")
# A benchmark that goes on, however precise it is by then: a disk that is full before it ends is full in time.
LONG = ("--set", "benchmark.budget_s=20", "--set", "benchmark.target_ci=0.00001")
MANY = 20
FEW = 13  # writes from one deletion of the quick test to the next

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


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the stages of a chain."""
    return copy_with_chain(tmp_path_factory.mktemp("deleted"))


def deletion(project: Project, write: int) -> dict[str, str]:
    """Return the variables that have the store deleted before its n-th change."""
    done = project.folder / "deleted"
    done.unlink(missing_ok=True)
    store = project.folder / killing.STORE
    return {"DELETE_BELOW": str(store), "DELETE_AT": str(write), "DELETE_DONE": str(done)}


def delete_and_recover(arena: tuple[Project, Undisturbed], number: int, *workers: str) -> None:
    """Delete the store at the moment with this number; the run completes all the same, and the next ones find all."""
    project, expected = arena
    draw = random.Random(2026)
    moment = next(itertools.islice((draw.randint(1, expected.writes) for _ in itertools.count()), number, None))
    killing.forget(project)
    (project.folder / "sitecustomize.py").write_text(_DELETER)
    process = killing.start(project, *RUN, *workers, **deletion(project, moment))
    assert process.wait(killing.PATIENCE_S) in (0, 5), f"write {moment}: {killing.said(project)}"
    assert killing.outputs_of(project) == expected.outputs
    assert killing.start(project, *RUN, *workers).wait(killing.PATIENCE_S) in (0, 5), killing.said(project)
    assert killing.start(project, *RUN, *workers).wait(killing.PATIENCE_S) in (0, 5), killing.said(project)
    assert {node["outcome"] for node in killing.nodes_of(project)} == {"cached"}
    assert killing.outputs_of(project) == expected.outputs
    assert killing.damaged_objects(project) == []
    store = project.folder / killing.STORE
    assert {".gitignore", "CACHEDIR.TAG"} <= set(os.listdir(store))
    assert not (store / "quarantine").exists()


def delete_at_writes(project: Project, executor: str, step: int) -> None:
    """Delete the store before every write of a chain of four stages, or every `step`th; its results stay the same."""
    chain = Chain(project, executor)
    killing.forget(project)
    chain.start("answer", **killing.tripwire(project)).wait(killing.PATIENCE_S)
    expected, writes = chain.answer("answer"), killing.writes_of(project)
    (project.folder / "sitecustomize.py").write_text(_DELETER)
    for write in range(1, writes + 1, step):
        killing.forget(project)
        code = chain.start("answer", **deletion(project, write)).wait(killing.PATIENCE_S)
        assert code == 0, f"deleted before write {write}: {(project.folder / 'answer').read_text()}"
        during = chain.answer("answer")
        assert (during.keys, during.digests) == (expected.keys, expected.digests), f"deleted before write {write}"
        chain.run()
        after = chain.run()
        assert (after.ran, after.digests) == ([], expected.digests), f"deleted before write {write}"
        killing.check_sound(project)


def test_a_store_that_is_deleted_under_a_run_is_made_again(copied: Project) -> None:
    """What was lost is computed again as far as the run needs it; the results are the same."""
    delete_at_writes(copied, "inline", FEW)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_store_may_be_deleted_before_any_write(copied: Project, executor: str) -> None:
    """The same before every write, in the command's process or in a worker."""
    delete_at_writes(copied, executor, 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(MANY))
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["inline", "two workers"])
def test_a_store_may_be_deleted_at_any_moment(
    arena: tuple[Project, Undisturbed], number: int, workers: tuple[str, ...]
) -> None:
    """The same at moments of the real command, which also measures, without and with workers."""
    delete_and_recover(arena, number, *workers)


@dataclass(frozen=True)
class Disk:
    """A small disk with a store and the results of a run on it."""

    folder: Path

    @property
    def places(self) -> tuple[str, ...]:
        """Return the arguments that put everything there."""
        return "--store", str(self.folder / "store"), "--out", str(self.folder / "out")

    def records(self) -> set[str]:
        """Return the keys of the results that were committed."""
        return {path.parent.name + path.stem for path in (self.folder / "store/actions").glob("*/*.json")}

    def fill(self) -> None:
        """Leave no room."""
        with contextlib.suppress(OSError), open(self.folder / "filler", "wb", buffering=0) as filler:
            while filler.write(bytes(2**16)):
                pass
        with contextlib.suppress(OSError), open(self.folder / "filler", "ab", buffering=0) as filler:
            while filler.write(bytes(2**8)):
                pass

    def make_room(self) -> None:
        """Undo that."""
        (self.folder / "filler").unlink()

    def make_read_only(self) -> None:
        """Let nobody write there, root included."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)


def fill_and_recover(arena: tuple[Project, Undisturbed], disk: Disk, finished: int, *workers: str) -> None:
    """Let the disk be full once so many nodes have finished; then make room and go on."""
    project, expected = arena
    process = killing.start(project, *RUN, *LONG, *disk.places, *workers)
    while process.poll() is None and len(disk.records()) < finished:
        time.sleep(0.001)
    disk.fill()
    code = process.wait(killing.PATIENCE_S)
    assert code == 6, killing.said(project)
    assert "No space left on device" in killing.said(project)
    assert "Traceback" not in killing.said(project)
    before = disk.records()
    assert len(before) >= finished
    disk.make_room()
    if before:  # else there may not even be a store
        assert project.json("store", "verify", "--store", str(disk.folder / "store"))["damaged"] == []
    project.run(*RUN, *disk.places, *workers, expect=(0, 5))
    nodes = json.loads((disk.folder / "out/run.json").read_text())["nodes"]
    assert [node["label"] for node in nodes if node["outcome"] == "ran" and node["key"] in before] == []
    outputs = {node["id"]: node["outputs"] for node in nodes if node["stage"] in killing.DETERMINISTIC}
    assert outputs == expected.outputs
    assert project.json("store", "verify", "--store", str(disk.folder / "store"))["damaged"] == []


def test_a_disk_that_becomes_full_ends_the_run_and_loses_nothing(
    arena: tuple[Project, Undisturbed], small_disk: Callable[[str], Path]
) -> None:
    """Exit code 6 says so; with room again, what was finished is not computed again."""
    fill_and_recover(arena, Disk(small_disk("16m")), 3)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["inline", "two workers"])
@pytest.mark.parametrize("finished", range(10))
def test_a_disk_may_be_full_at_any_moment(
    arena: tuple[Project, Undisturbed], small_disk: Callable[[str], Path], finished: int, workers: tuple[str, ...]
) -> None:
    """After any node, without and with workers."""
    fill_and_recover(arena, Disk(small_disk("16m")), finished, *workers)


def test_a_read_only_store_answers_and_is_not_worked_for_in_vain(
    arena: tuple[Project, Undisturbed], small_disk: Callable[[str], Path]
) -> None:
    """What is stored is taken from it and can be checked; what is not is refused before anything is computed."""
    project, _ = arena
    disk = Disk(small_disk("16m"))
    store = ("--store", str(disk.folder / "store"))
    project.run(*RUN, *disk.places, expect=(0, 5))
    disk.make_read_only()
    assert project.json(*RUN, *store, "--out", "runs/read-only", expect=(0, 5))["nodes"]["ran"] == 0
    assert {node["status"] for node in project.json("plan", "tiny.yaml", *store)["nodes"]} == {"cached"}
    assert project.json("store", "verify", *store)["damaged"] == []
    assert project.json("store", "du", *store)["results"] == 12
    done = project.run(*RUN, *store, "--out", "runs/changed", "--set", "model.train.epochs=2", expect=6)
    assert "cannot be written: Read-only file system" in done.stderr
    (train,) = [n for n in killing.nodes_of(project, "changed") if n["stage"] == "train"]
    assert (train["outcome"], train["seconds"]) == ("failed", None)
    assert "Read-only file system" in project.run("store", "prune", "--max-size", "0", *store, expect=6).stderr
    refused = project.run(*RUN, "--store", str(disk.folder / "new"), expect=6)
    assert "cannot be written: Read-only file system" in refused.stderr


def let_grow_old(store: Path, days: float) -> None:
    """Let everything in a store look as if it had been made, and last used, some days ago."""
    then = time.time() - days * 86_400
    for path in (store / "actions").glob("*/*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "finished_at": then}))
    for path in store.glob("*/*/*"):
        os.utime(path, (then, then))
    shutil.rmtree(store / "uses")


def test_room_is_made_beside_a_run_that_uses_what_is_removed(arena: tuple[Project, Undisturbed]) -> None:
    """Whether it is removed before the run finds it, after that or while it is read, the results are the same."""
    project, _ = arena
    changed = (*RUN, "--set", "optimize.quantize.bits=4", "--until", "evaluate")
    killing.forget(project)
    project.run(*changed)
    expected = killing.outputs_of(project)
    killing.forget(project)
    project.run(*RUN, "--until", "evaluate")
    shutil.rmtree(project.folder / "runs")
    store = project.folder / killing.STORE
    let_grow_old(store, days=60)
    removed = 0
    with contextlib.ExitStack() as held:  # until something is removed, nothing is computed
        held.enter_context(at_work(store / "locks", print, alone=True))
        process = killing.start(project, *changed)
        while process.poll() is None:
            with alone(store) as is_alone:
                census = take_census(store, ())
                removed += remove(store, surplus(census, 0, 0, is_alone=False)) if not is_alone else 0
            if removed:
                held.close()
    assert process.returncode == 0, killing.said(project)
    assert removed > 0
    assert killing.outputs_of(project) == expected
    assert project.json("store", "verify")["damaged"] == []
