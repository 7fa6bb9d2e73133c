"""What reports say of claims that a sweep's number of points took away, and which setting brings them back."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from pipeline.report.answers import answers
from pipeline.report.correction import correction_text
from pipeline.report.verdicts import verdicts
from tests.pipeline.report.test_selection_report import LAYOUTS, render


@pytest.fixture
def undecided(submission: dict[str, Any]) -> dict[str, Any]:
    """Two processes for 48 points: what alone is 3.9x as fast is inconclusive."""
    lost = {"verdict": "inconclusive", "compared": 48, "adjusted_p_value": 0.3, "adjusted_p_value_reason": None}
    speedup = {"estimate": 3.9, "interval": [3.7, 4.1]}
    speed = submission["comparisons"]["speed"]
    speed |= {**lost, "processes": 2, "noisy": False, "speedup": {**speed["speedup"], **speedup}}
    for point in submission["selection"]["points"][:2]:
        point |= {**lost, "speedup": dict(speedup)}
    return submission


def test_the_verdict_says_why_and_which_setting_resolves_it(undecided: dict[str, Any]) -> None:
    """The interval, the correction, the number of processes."""
    (speed,) = (verdict for verdict in verdicts(undecided) if verdict.subject == "speed")
    assert "its own interval is above 1.020x, but 48 comparisons were made" in speed.text
    assert "p = 0.30, more than 0.05" in speed.text
    assert "with 3 processes instead of 2" in speed.text
    assert "benchmark.processes 3" in speed.text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_report_counts_the_points_that_the_correction_decides(
    undecided: dict[str, Any], layout: Callable[[dict[str, Any]], str]
) -> None:
    """So many of all, and what decides them."""
    text = " ".join(unescape(render(layout, undecided)).replace("\\", "").split())
    assert "2 of 4 points are inconclusive only because 48 comparisons were made at once (Holm's correction)" in text


def test_how_sure_it_is_says_it_too(undecided: dict[str, Any]) -> None:
    """Whoever reads the answers alone is told."""
    (sure,) = (answer for answer in answers(undecided) if answer.question == "How sure is that?")
    assert any("Holm's correction" in sentence for sentence in sure.sentences)


def test_nothing_is_said_where_the_correction_took_nothing(submission: dict[str, Any]) -> None:
    """A point that is inconclusive by its own interval is another matter."""
    assert correction_text(submission) == ""


@pytest.mark.parametrize(("key", "value"), [("processes", 1), ("processes", 10**9), ("compared", 10**12)])
def test_figures_beyond_reason_are_told_without_a_number(undecided: dict[str, Any], key: str, value: int) -> None:
    """A stranger's submission may hold anything; it is read at once."""
    undecided["comparisons"]["speed"][key] = value
    assert "measure on a quieter machine" in correction_text(undecided)


def test_intervals_that_are_too_wide_are_told_without_a_number(undecided: dict[str, Any]) -> None:
    """64 processes would not do."""
    for point in undecided["selection"]["points"]:
        point["speedup"] = {"estimate": 1.2, "interval": [1.021, 1.41]}
    undecided["comparisons"]["speed"]["processes"] = 64
    assert "measure on a quieter machine" in correction_text(undecided)
