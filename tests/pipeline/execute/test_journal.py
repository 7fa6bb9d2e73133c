"""events.jsonl: what happened, a line each, also when the run is killed or the disk is full."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.event import Event, Outcome
from pipeline.execute.journal import Journal, is_running, read_events
from tests.project import ROOT


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_event_is_a_line(tmp_path: Path) -> None:
    """With what a program that watches needs; what is taken from the store is counted only."""
    path = tmp_path / "runs" / "events.jsonl"
    with Journal(path, {"experiment": "tiny", "nodes": 3}) as journal:
        journal(Event("1", "data", Outcome.CACHED, key="k1"))
        journal(Event("2", "train", None, "new", measures=True, attempt=2, key="k2"))
        journal(Event("2", "train", None, said="waiting"))
        journal(Event("2", "train", Outcome.RAN, "new", 1.5, key="k2"))
        journal(Event("3", "submit", Outcome.FAILED, "new", note="it broke", error="Traceback: it broke"))
    started, begun, said, ran, failed, finished = events(path)
    assert (started["event"], started["experiment"], started["nodes"]) == ("run_started", "tiny", 3)
    assert {name: begun[name] for name in ("event", "node", "label", "reason", "attempt", "measures", "key")} == {
        "event": "node_started",
        "node": "2",
        "label": "train",
        "reason": "new",
        "attempt": 2,
        "measures": True,
        "key": "k2",
    }
    assert (said["event"], said["text"]) == ("node_said", "waiting")
    assert (ran["outcome"], ran["seconds"], ran["key"], ran["error"]) == ("ran", 1.5, "k2", None)
    assert (failed["outcome"], failed["error"]) == ("failed", "Traceback: it broke")
    assert finished["outcomes"] == {"cached": 1, "ran": 1, "failed": 1}
    assert finished["error"] is None
    assert len({line["run"] for line in events(path)}) == 1


def test_lines_are_there_at_once(tmp_path: Path) -> None:
    """A program that watches does not wait for a buffer."""
    path = tmp_path / "events.jsonl"
    with Journal(path, {}) as journal:
        journal(Event("1", "data", None))
        assert [line["event"] for line in events(path)] == ["run_started", "node_started"]


def test_what_ends_a_run_early_is_said(tmp_path: Path) -> None:
    """An interrupt, or a bug."""
    path = tmp_path / "events.jsonl"
    with pytest.raises(KeyboardInterrupt), Journal(path, {}):
        raise KeyboardInterrupt
    assert events(path)[-1]["error"].startswith("KeyboardInterrupt")


def test_a_run_replaces_the_events_of_the_last_one(tmp_path: Path) -> None:
    """The file is as long as a run, not as a history."""
    path = tmp_path / "events.jsonl"
    for _ in range(2):
        with Journal(path, {}):
            pass
    assert [line["event"] for line in events(path)] == ["run_started", "run_finished"]


def test_two_runs_at_once_keep_each_others_lines(tmp_path: Path) -> None:
    """They can be told apart."""
    path = tmp_path / "events.jsonl"
    with Journal(path, {"who": 1}), Journal(path, {"who": 2}) as second:
        second(Event("1", "data", None))
    assert [line["event"] for line in events(path)] == [
        "run_started",
        "run_started",
        "node_started",
        "run_finished",
        "run_finished",
    ]
    assert len({line["run"] for line in events(path)}) == 2


HOLD = """
import sys, time
from pathlib import Path
from pipeline.execute.journal import Journal
with Journal(Path(sys.argv[1]), {}):
    print("started", flush=True)
    time.sleep(600)
"""


def test_a_file_tells_whether_its_run_lives(tmp_path: Path) -> None:
    """Also after SIGKILL: the system takes the lock away with the process."""
    path = tmp_path / "events.jsonl"
    assert not is_running(path)
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        assert is_running(path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not is_running(path)
    assert [line["event"] for line in read_events(path)] == ["run_started"]


def test_who_asks_does_not_look_like_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two may ask at once, and a run may start just then: it replaces the events of the last one all the same."""
    path = tmp_path / "events.jsonl"
    path.write_text("of the last run\n")
    asking = ExitStack()

    def ask() -> None:
        fcntl.flock(asking.enter_context(path.open()), fcntl.LOCK_EX)

    monkeypatch.setattr(time, "sleep", lambda seconds: asking.close())  # who asks is done before who waits goes on
    ask()
    assert not is_running(path)
    ask()
    with Journal(path, {}):
        assert is_running(path)
    assert [line["event"] for line in events(path)] == ["run_started", "run_finished"]


def test_a_full_disk_does_not_stop_the_work(small_disk: Callable[[str], Path]) -> None:
    """It is said at the end, with the file's name; the lines before are whole."""
    folder = small_disk("64k")
    path = folder / "events.jsonl"
    with pytest.raises(EnvironmentProblem, match=r"events\.jsonl cannot be written"):
        _write_much(path)
    assert [event["event"] for event in read_events(path)][:2] == ["run_started", "node_started"]


def _write_much(path: Path) -> None:
    with Journal(path, {}) as journal:
        for number in range(200):
            journal(Event(str(number), "x" * 1000, None))


def test_what_is_no_event_is_not_read(tmp_path: Path) -> None:
    """A line cut by a crash, or written by someone else."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "run_started"}\n[]\n{"event": 1}\n\xff\n' + b"[" * 100_000 + b'\n{"event": "node_')
    assert list(read_events(path)) == [{"event": "run_started"}]
    assert list(read_events(tmp_path / "none")) == []
