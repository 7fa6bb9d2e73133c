"""Two runs of one store on one machine: what one of them measures, the other does not disturb."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from pipeline.core.event import Event, Outcome
from pipeline.execute import channel
from pipeline.execute.alone import at_work
from pipeline.execute.limits import UNLIMITED, Limits
from tests.pipeline.execute.stage_project import StageProject, make_stage_project


@pytest.mark.parametrize(("first", "second", "word"), [(True, False, "measures"), (False, True, "works")])
def test_one_waits_for_the_other_and_says_so(tmp_path: Path, first: bool, second: bool, word: str) -> None:
    """Whoever measures has to be alone, whether it comes first or second."""
    order: list[str] = []
    waits = threading.Event()

    def say(text: str) -> None:
        order.append(text)
        waits.set()

    def other() -> None:
        with at_work(tmp_path, say, alone=second):
            order.append("second")

    thread = threading.Thread(target=other)
    with at_work(tmp_path, print, alone=first):
        thread.start()
        assert waits.wait(60)
        order.append("first")
    thread.join()
    assert order == [f"another run on this machine {word}: waiting until it has finished that", "first", "second"]


def test_who_comes_later_does_not_pass_a_waiting_measurement(tmp_path: Path) -> None:
    """Work that keeps coming must not keep a measurement waiting for ever."""
    order: list[str] = []

    def work_as(name: str, alone: bool, waits: threading.Event) -> None:
        with at_work(tmp_path, lambda text: waits.set(), alone=alone):
            order.append(name)

    threads = []
    with at_work(tmp_path, print, alone=False):
        for name, alone in (("measurement", True), ("later work", False)):
            waits = threading.Event()
            threads.append(threading.Thread(target=work_as, args=(name, alone, waits)))
            threads[-1].start()
            assert waits.wait(60)
        order.append("first work")
    for thread in threads:
        thread.join()
    assert order == ["first work", "measurement", "later work"]


def test_what_does_not_measure_works_side_by_side(tmp_path: Path) -> None:
    """Nobody waits."""
    said: list[str] = []
    with at_work(tmp_path, said.append, alone=False), at_work(tmp_path, said.append, alone=False):
        pass
    assert said == []


def test_nodes_obey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measuring node of another run ends before a node of this one starts."""
    projects = [make_stage_project(tmp_path, monkeypatch), StageProject(tmp_path)]
    wait = "(here / 'measures').touch()\nwhile not (here / 'waits').exists(): time.sleep(0.01)"
    measure, work = projects[0].node("m", wait, stage="measure"), projects[1].node("w")
    thread = threading.Thread(target=lambda: projects[0].run(measure, limits=UNLIMITED))
    thread.start()
    while not (tmp_path / "measures").exists():
        assert thread.is_alive()
        time.sleep(0.001)
    projects[1].run(work, limits=UNLIMITED, emit=lambda event: (tmp_path / "waits").touch() if event.said else None)
    thread.join()
    assert projects[0].log() == ["start m", "end m", "start w", "end w"]


def test_waiting_for_another_run_is_not_what_a_timeout_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that may work for a minute is given it after the other's measurement, which takes an hour."""
    project = make_stage_project(tmp_path, monkeypatch)
    clock, waited_s = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + waited_s[0])
    monkeypatch.setattr(channel, "_LONGEST_POLL_S", 0.01)  # after which the clock is looked at again

    def emit(event: Event) -> None:
        if event.said:
            waited_s[0] = 3600.0
            time.sleep(0.2)  # whoever looks at the clock does so meanwhile
            measurement.close()

    measurement = contextlib.ExitStack()
    measurement.enter_context(at_work(project.store.root / "locks", print, alone=True))
    limits = Limits("processes", timeout_s=60)
    assert project.run(project.node("w"), limits=limits, emit=emit)["w"].outcome is Outcome.RAN
