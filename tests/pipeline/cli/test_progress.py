"""Progress lines: aligned, harmless, and no reason to stop."""

from __future__ import annotations

import io

import pytest

from pipeline.cli.progress import Progress
from pipeline.core.event import Event, Outcome


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(*events: Event, stream: io.StringIO | None = None) -> list[str]:
    stream = stream or io.StringIO()
    progress = Progress(stream)
    for event in events:
        progress(event)
    return stream.getvalue().splitlines()


def ended(label: str, outcome: Outcome = Outcome.RAN, **facts: str) -> Event:
    return Event("id", label, outcome, seconds=12.34, **facts)


def test_labels_and_details_are_aligned() -> None:
    """Whatever ran, failed or was skipped."""
    shown = lines(
        ended("data digits", reason="new"),
        ended("train mlp", Outcome.FAILED, note="it broke"),
        ended("evaluate 日本", Outcome.SKIPPED, reason="train gave no result"),
    )
    assert [line.split()[0] for line in shown] == ["12.3", "failed", "skipped"]
    assert len({line.index(word) for line, word in zip(shown, ("data", "train", "evaluate"), strict=True)}) == 1
    assert shown[0].index("new") == shown[1].index("it broke") == shown[2].index("train gave") + 2  # two wide signs


def test_a_long_label_moves_the_column_for_those_after_it() -> None:
    """Later lines are aligned with it, and none is cut."""
    long = "benchmark sparsity=0.75 bits=32 width=512 lr=0.001"
    shown = lines(ended(long, reason="new"), ended("submit", reason="new"))
    assert shown[0].index("new") == shown[1].index("new")


def test_what_is_cached_is_not_mentioned() -> None:
    """The count line says how many there were."""
    assert lines(ended("data", Outcome.CACHED), Event("id", "train", None)) == []


def test_a_terminal_shows_what_is_running_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wraps could not be taken back."""
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    shown = lines(Event("id", "x" * 100, None), ended("y" * 100), stream=Terminal())
    assert all(len(part.removeprefix("\x1b[2K")) < 30 for line in shown for part in line.split("\r"))


def test_what_a_stage_says_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In full, on any stream; a terminal then shows again what is running."""
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    event = Event("id", "benchmark", None, said="busy\a: " + "waiting " * 9)
    (line,) = lines(event)
    assert line == "benchmark: busy\ufffd: " + "waiting " * 9
    said, running = lines(event, stream=Terminal())
    assert "waiting " * 9 in said
    assert running.rstrip("\r").endswith("benchmark")


def test_a_dumb_terminal_gets_no_escape_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could only show them."""
    monkeypatch.setenv("TERM", "dumb")
    assert lines(Event("id", "train", None), ended("train"), stream=Terminal()) == lines(ended("train"))


def test_hostile_labels_and_messages_do_not_reach_the_terminal() -> None:
    """Labels hold values of the file, messages whatever a stage says."""
    (line,) = lines(ended("a\x1b[2J\nb", Outcome.FAILED, note="c\x07\rd"))
    assert line.isprintable()


def test_a_reader_that_goes_away_is_no_reason_to_stop() -> None:
    """The work goes on in silence."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    progress = Progress(Closed())
    progress(ended("data"))
    progress(ended("train"))
