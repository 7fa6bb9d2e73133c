"""The inline executor on a stage of a few lines: what is kept and what is not, whatever else happens meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import EnvironmentProblem, StageFailed
from pipeline.core.event import Outcome
from pipeline.core.plan import Node, Plan
from pipeline.core.stage import StageInfo
from pipeline.execute.decide import Oracle
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.store import local, objects
from pipeline.store.local import LocalStore

ROOT = Path(__file__).parents[3]
# Each run gives another text, as a measurement does.
STAGE = """
import pathlib
def execute(spec, inputs):
    counter = pathlib.Path(spec["counter"])
    count = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(count))
    if count == spec.get("fails_at"):
        raise ValueError("it failed")
    return {"out": f"session {count}"}
"""
STAGES = {
    name: StageInfo(name, "stage_of_this_test", 1, {"out": "text"}, "", measures=name == "benchmark")
    for name in ("train", "benchmark")
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    (tmp_path / "stage_of_this_test.py").write_text(STAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stage_of_this_test", raising=False)
    return LocalStore(tmp_path / "store")


def run(store: LocalStore, stage: str = "benchmark", *, fresh: bool = False, **spec: Any) -> NodeResult:
    local = {"counter": str(store.root.parent / "counter"), **spec}
    node = Node("1", stage, "", {}, {}, ("pipeline.core.keys",), local, {"out": "text"}, ("pipeline.store.codecs",))
    return execute_plan(Plan((node,), (), "1", "1"), Oracle(store, STAGES, fresh=fresh), lambda event: None)["1"]


def texts(store: LocalStore, result: NodeResult) -> list[bytes]:
    assert result.record is not None
    sessions = [*result.record.earlier, result.record.outputs]
    return [store.read(outputs["out"].digest) for outputs in sessions]


def test_a_fresh_measurement_keeps_the_earlier_ones(store: LocalStore) -> None:
    """Sessions add up; an ordinary run afterwards takes the newest."""
    run(store)
    run(store, fresh=True)
    result = run(store, fresh=True)
    assert texts(store, result) == [b"session 1", b"session 2", b"session 3"]
    again = run(store)
    assert again.outcome is Outcome.CACHED
    assert again.record == result.record


def test_a_session_whose_samples_were_lost_does_not_take_the_others_with_it(store: LocalStore) -> None:
    """Measuring again after the newest artifact was deleted keeps the sessions before."""
    run(store)
    result = run(store, fresh=True)
    assert result.record is not None
    store.object_path(result.record.outputs["out"].digest).unlink()
    again = run(store)
    assert again.record is not None
    assert [list(outputs) for outputs in again.record.earlier] == [["out"], ["out"]]
    assert store.read(again.record.outputs["out"].digest) == b"session 3"


def test_a_failure_is_not_kept(store: LocalStore) -> None:
    """The next run computes, and what it gives is kept."""
    assert run(store, fails_at=1).outcome is Outcome.FAILED
    assert run(store, fails_at=1).outcome is Outcome.RAN
    assert run(store, fails_at=1).outcome is Outcome.CACHED


def test_an_interrupt_at_any_step_of_a_commit_loses_nothing_else(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while files are flushed or renamed leaves the former sessions, no half file, and no lock."""
    run(store)
    monkeypatch.setattr(local, "_WORTH_FLUSHING_S", -1.0)
    for call in ("fsync", "replace", "fchmod"):
        with monkeypatch.context() as patch:
            patch.setattr(objects.os, call, interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(store, fresh=True)
        assert os.listdir(store.root / "tmp") == []
        assert texts(store, run(store)) == [b"session 1"]
    assert len(texts(store, run(store, fresh=True))) == 2


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_in_making_a_class_is_no_error_of_a_stage(store: LocalStore, tmp_path: Path) -> None:
    """As when a stage imports modules; Python 3.11 makes a RuntimeError of it."""
    making = "    class Named:\n        def __set_name__(self, owner, name): raise KeyboardInterrupt\n"
    making += "    class Made:\n        name = Named()\n"
    (tmp_path / "stage_of_this_test.py").write_text(STAGE.replace("    counter =", f"{making}    counter =", 1))
    with pytest.raises(KeyboardInterrupt):
        run(store)


def test_what_changed_under_a_run_is_not_kept(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result of code that was edited meanwhile belongs to no key."""
    with monkeypatch.context() as patch:
        patch.setattr(Oracle, "confirm", lambda self, node: fail())
        assert isinstance(run(store).error, StageFailed)
    assert run(store).outcome is Outcome.RAN


def test_a_stage_can_say_something(store: LocalStore, tmp_path: Path) -> None:
    """It goes outwards as an event, and into no result."""
    (tmp_path / "stage_of_this_test.py").write_text(
        STAGE.replace("    counter =", "    inputs.say('wait')\n    counter =")
    )
    local = {"counter": str(tmp_path / "counter")}
    node = Node("1", "train", "", {}, {}, ("pipeline.core.keys",), local, {"out": "text"}, ("pipeline.store.codecs",))
    said: list[str] = []
    execute_plan(Plan((node,), (), "1", "1"), Oracle(store, STAGES), lambda event: said.append(event.said))
    assert said == ["", "wait", ""]


def fail() -> None:
    raise StageFailed("the code was edited during this run; run again")


def test_an_output_that_was_not_declared_is_an_error(store: LocalStore, tmp_path: Path) -> None:
    """A stage gives exactly the roles of its node."""
    node = Node(
        "1",
        "train",
        "",
        {},
        {},
        ("pipeline.core.keys",),
        {"counter": str(tmp_path / "c")},
        {"out": "text", "more": "text"},
    )
    result = execute_plan(Plan((node,), (), "1", "1"), Oracle(store, STAGES), lambda event: None)["1"]
    assert "declares the outputs ['more', 'out'] and gave ['out']" in str(result.error)


OTHER_PROCESS = """
import sys
sys.path[:0] = [{root!r}, {folder!r}]
from pathlib import Path
from tests.pipeline.execute import test_inline
from pipeline.store.local import LocalStore
result = test_inline.run(LocalStore(Path({folder!r}, "store")), "train")
print(result.outcome.value)
"""


def test_processes_that_want_the_same_result_compute_it_once(store: LocalStore, tmp_path: Path) -> None:
    """The others wait for the first and take what it made."""
    code = OTHER_PROCESS.format(root=str(ROOT), folder=str(tmp_path))
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]
    outcomes = sorted(process.communicate()[0].strip() for process in processes)
    assert outcomes == ["cached", "cached", "cached", "ran"]
    assert (tmp_path / "counter").read_text() == "1"


def test_a_full_disk_is_said_in_one_line_and_nothing_is_lost(
    small_disk: Callable[[str], Path], store: LocalStore, tmp_path: Path
) -> None:
    """The result is not there, the store is fine, and the next run with room computes it."""
    disk = small_disk("512k")
    full = LocalStore(disk / "store")
    (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    result = run(full, counter=str(tmp_path / "counter"))
    assert isinstance(result.error, EnvironmentProblem)
    assert "No space left on device" in str(result.error)
    (disk / "filler").unlink()
    assert os.listdir(full.root / "tmp") == []
    assert run(full, counter=str(tmp_path / "counter")).outcome is Outcome.RAN


def test_a_read_only_store_gives_what_it_has(small_disk: Callable[[str], Path], tmp_path: Path) -> None:
    """Cached results are used, and only a node that would have to run says that nothing can be written."""
    disk = small_disk("1m")
    (tmp_path / "stage_of_this_test.py").write_text(STAGE)
    code = OTHER_PROCESS.format(root=str(ROOT), folder=str(tmp_path))
    (disk / "store").mkdir()
    (tmp_path / "store").symlink_to(disk / "store")
    first = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    second = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (first.stdout, second.stdout) == ("ran\n", "cached\n")
    result = run(LocalStore(tmp_path / "store"), "benchmark")
    assert "Read-only file system" in str(result.error)
