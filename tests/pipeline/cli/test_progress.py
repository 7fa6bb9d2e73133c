"""Progress lines: aligned, harmless, and no reason to stop."""

from __future__ import annotations

import io

from pipeline.cli.progress import Progress
from pipeline.core.event import Event, Outcome


def lines(*events: Event) -> list[str]:
    stream = io.StringIO()
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


def test_what_a_stage_says_is_a_line_of_its_own() -> None:
    """In full, on any stream."""
    (line,) = lines(Event("id", "benchmark", None, said="busy\a: " + "waiting " * 9))
    assert line == "benchmark: busy\ufffd: " + "waiting " * 9


def test_another_attempt_is_mentioned_with_its_reason() -> None:
    """The first one is not."""
    (line,) = lines(Event("1", "train", None, "new"), Event("1", "train", None, "its worker was killed", attempt=2))
    assert line == "train: attempt 2, because its worker was killed"


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
