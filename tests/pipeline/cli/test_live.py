"""The live view: what it shows, and that it rests while something is measured."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli.board import Board, duration
from pipeline.cli.live import LiveView, rest_of
from pipeline.cli.progress import Progress
from pipeline.core.event import Event, Outcome
from pipeline.core.keys import Preimage, action_key
from pipeline.core.plan import Node
from pipeline.execute.estimate import Estimator, Expectation
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore
from pipeline.store.record import Record
from tests.project import ROOT

QUICK_S = 0.005


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def estimator(tmp_path: Path) -> Estimator:
    """Training takes 20 s here, a benchmark 10 s; nothing else has run."""
    store = LocalStore(tmp_path / "store")
    for stage, seconds in (("train", 20.0), ("benchmark", 10.0)):
        preimage = Preimage(stage, 1, {}, "", {}, {})
        store.commit(Record(action_key(preimage), stage, preimage, {}, 1.0, seconds))
    return Estimator(store, STAGES)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


def node(name: str, stage: str) -> Node:
    return Node(name, stage, name, {}, {}, ())


NODES = (node("1", "train"), node("2", "train"), node("3", "benchmark"), node("4", "submit"))


def started(number: str, *, measures: bool = False, said: str = "") -> Event:
    return Event(number, f"node {number}", None, "new", measures=measures, said=said)


def ended(number: str, outcome: Outcome = Outcome.RAN) -> Event:
    return Event(number, f"node {number}", outcome, "new", 1.0)


def board(estimator: Estimator, slots: int = 1) -> tuple[Board, list[float]]:
    """Return a board of the four nodes, and its clock to be set."""
    now = [0.0]
    made = Board(estimator, slots, clock=lambda: now[0])
    made.add(NODES)
    return made, now


def view(estimator: Estimator, *, rests: bool = True) -> tuple[LiveView, Terminal]:
    stream = Terminal()
    made, _ = board(estimator)
    live = LiveView(stream, made, rests=rests, interval_s=QUICK_S)
    live.start()
    return live, stream


def test_a_board_counts_and_expects(estimator: Estimator) -> None:
    """What is done of a running node is taken off; a kind that never ran is counted instead of guessed."""
    made, now = board(estimator)
    assert made.left() == Expectation(50, 1)
    made.start(started("1"))
    now[0] = 15
    assert made.left() == Expectation(35, 1)
    now[0] = 99
    assert made.left() == Expectation(30, 1)
    made.end(ended("1"))
    made.end(ended("4", Outcome.SKIPPED))
    assert (made.done, made.total, made.left()) == (2, 4, Expectation(30))


def test_two_workers_share_what_is_not_measured(estimator: Estimator) -> None:
    """The benchmark runs alone."""
    assert board(estimator, slots=2)[0].left() == Expectation(30, 1)


def test_a_node_that_is_made_again_counts_once(estimator: Estimator) -> None:
    """A damaged result is computed a second time after its node had ended."""
    made, _ = board(estimator)
    for event in (started("1"), ended("1"), started("1"), ended("1")):
        made.end(event) if event.outcome else made.start(event)
    assert (made.done, made.total) == (1, 4)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99, "99 s"), (100, "2 min"), (9000, "2.5 h")],
)
def test_a_duration_is_as_exact_as_it_deserves(seconds: float, said: str) -> None:
    """Estimates have one or two digits."""
    assert duration(seconds) == said


def test_what_is_unknown_is_said() -> None:
    """A sum that lacks something is not called an estimate."""
    assert rest_of(Expectation(30)) == "about 30 s left"
    assert rest_of(Expectation(30, 2)) == "30 s and 2 nodes of a kind that never ran here"
    assert rest_of(Expectation(0, 2)) == "unknown: 2 nodes of a kind that never ran here"


def test_running_nodes_and_the_rest_are_shown(estimator: Estimator) -> None:
    """With the time that nodes like them took."""
    live, stream = view(estimator)
    live.receive(started("1"), None)
    live.stop()
    shown = stream.getvalue()
    assert "running" in shown
    assert "node 1" in shown
    assert "of about 20 s" in shown
    assert "0/4 nodes" in shown


def test_the_view_goes_on_by_itself(estimator: Estimator) -> None:
    """The seconds of what runs are counted."""
    live, stream = view(estimator)
    live.receive(started("1"), None)
    before = len(stream.getvalue())
    deadline = time.monotonic() + 60
    while len(stream.getvalue()) == before:
        assert time.monotonic() < deadline
        time.sleep(QUICK_S)
    live.stop()


def test_nothing_is_written_while_something_is_measured(estimator: Estimator) -> None:
    """The view says so once, and rests; what others have to say is held back until then."""
    live, stream = view(estimator)
    live.receive(started("3", measures=True), None)
    before = stream.getvalue()
    assert "this view rests" in before
    live.receive(ended("1"), "a line of another node")
    time.sleep(20 * QUICK_S)
    assert stream.getvalue() == before
    live.receive(ended("3"), "the line of the measured node")
    after = stream.getvalue().removeprefix(before)
    assert after.index("a line of another node") < after.index("the line of the measured node")
    live.stop()


def test_a_drawing_that_takes_long_is_not_followed_by_one_while_something_is_measured(estimator: Estimator) -> None:
    """What would have been drawn by itself is due when the view begins to rest, and is left out."""

    class Slow(Terminal):
        def write(self, text: str) -> int:
            time.sleep(20 * QUICK_S)
            return super().write(text)

    stream = Slow()
    live = LiveView(stream, board(estimator)[0], interval_s=QUICK_S)
    live.start()
    live.receive(started("3", measures=True), None)
    before = stream.getvalue()
    time.sleep(40 * QUICK_S)
    assert stream.getvalue() == before
    live.stop()


def test_what_a_measuring_stage_says_is_shown(estimator: Estimator) -> None:
    """It says so while it waits, not while it measures."""
    live, stream = view(estimator)
    live.receive(started("3", measures=True), None)
    live.receive(started("3", measures=True, said="busy"), "benchmark: busy")
    assert "benchmark: busy" in stream.getvalue()
    live.stop()


def test_what_is_measured_elsewhere_does_not_stop_the_view(estimator: Estimator) -> None:
    """On a cluster there is nothing to disturb here."""
    live, stream = view(estimator, rests=False)
    live.receive(started("3", measures=True), None)
    live.receive(ended("1"), "a line of another node")
    live.stop()
    assert "a line of another node" in stream.getvalue()


def test_no_line_is_wider_than_the_terminal(estimator: Estimator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wraps could not be taken back."""
    monkeypatch.setenv("COLUMNS", "40")
    live, stream = view(estimator)
    live.receive(Event("1", "x" * 100, None), None)
    live.stop()
    assert "x" * 41 not in stream.getvalue()


def test_hostile_labels_do_not_drive_the_terminal(estimator: Estimator) -> None:
    """Labels hold values of the file."""
    live, stream = view(estimator)
    live.receive(Event("1", "a\x1b[2Jb\x07[red]", None), None)
    live.stop()
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert "[red]" in stream.getvalue()


def test_a_terminal_gets_the_view_when_the_first_node_runs(estimator: Estimator) -> None:
    """Lines stay, the view goes."""
    stream = Terminal()
    with Progress(stream) as progress:
        progress.begin(NODES, estimator)
        progress(ended("1", Outcome.CACHED))
        assert stream.getvalue() == ""
        progress(started("2"))
        assert "1/4 nodes" in stream.getvalue()
        progress(ended("2"))
    assert "1.0 s  ran      node 2" in stream.getvalue()
    assert "\x1b[?25l" not in stream.getvalue()  # a cursor that is hidden stays so when the process is killed


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_what_cannot_be_redrawn_gets_lines_only(
    term: str, estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dumb terminal, a file or a pipe."""
    monkeypatch.setenv("TERM", term)
    stream = Terminal() if term == "dumb" else io.StringIO()
    with Progress(stream) as progress:
        progress.begin(NODES, estimator)
        progress(started("1"))
        progress(ended("1"))
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_reader_that_goes_away_ends_the_view_only(estimator: Estimator) -> None:
    """The work goes on in silence."""

    class Closing(Terminal):
        is_gone = False

        def write(self, text: str) -> int:
            if self.is_gone:
                raise BrokenPipeError
            return super().write(text)

    stream = Closing()
    with Progress(stream) as progress:
        progress.begin(NODES, estimator)
        progress(started("1"))
        stream.is_gone = True
        progress(ended("1"))
        progress(started("2"))


def test_a_run_with_nothing_to_do_imports_no_rich() -> None:
    """It is needed when the first node runs on a terminal."""
    code = "import sys, pipeline.cli.run; print('rich' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_stop_is_announced_below_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """Past all buffers: a signal may come at any time."""
    Progress(io.StringIO()).announce_stop()
    assert capfd.readouterr().err == "\nstopping after what is running now; press Ctrl-C again to stop at once\n"


def test_a_stop_is_announced_in_the_view(estimator: Estimator, capfd: pytest.CaptureFixture[str]) -> None:
    """In its last line, which the next drawing replaces."""
    stream = Terminal()
    with Progress(stream) as progress:
        progress.begin(NODES, estimator)
        progress(started("1"))
        progress.announce_stop()
        assert "\n" not in capfd.readouterr().err
    assert "Ctrl-C again: at once" in stream.getvalue()


def test_drawing_takes_no_longer_than_the_nodes(estimator: Estimator) -> None:
    """Of a thousand events in a moment a few are drawn; every line is written in the end."""
    stream = Terminal()
    made, _ = board(estimator)
    live = LiveView(stream, made, interval_s=1000)
    live.start()
    for number in range(1000):
        live.receive(started("1"), None)
        live.receive(ended("1"), f"line {number}.")
    drawings = stream.getvalue().count("/4 nodes")
    live.stop()
    assert drawings == 1
    assert all(f"line {number}." in stream.getvalue() for number in range(1000))
