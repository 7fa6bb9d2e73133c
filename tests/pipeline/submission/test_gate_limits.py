"""Limits against an earlier submission are decided at the bound of the interval."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.submission.gate import Decision, hold_against


def later(document: dict[str, Any], speed: float = 1.0, growth: float = 0.0, noisy: bool = False) -> dict[str, Any]:
    """The submission of a later run: speed-up and stored bytes are other ones."""
    made = copy.deepcopy(document)
    ratio = made["comparisons"]["speed"]["speedup"]
    ratio["estimate"] *= speed
    ratio["interval"] = [bound * speed for bound in ratio["interval"]]
    made["comparisons"]["speed"]["noisy"] = noisy
    made["provenance"]["samples"] = "7" * 64
    size = made["size"]["optimized"]
    size["stored_bytes"] = round(size["stored_bytes"] * (1 + growth))
    return made


def decide(first: dict[str, Any], second: dict[str, Any], **limits: float) -> Decision:
    (decision,) = hold_against(first, second, limits)
    return decision


@pytest.mark.parametrize(
    ("speed", "outcome"),
    [(1.0, "passed"), (1.3, "passed"), (0.95, "inconclusive"), (0.96, "inconclusive"), (0.9, "failed")],
)
def test_a_slowdown_counts_at_the_bound(submission: dict[str, Any], speed: float, outcome: str) -> None:
    """5 % of time more is 0.952 of the speed, and the interval is about ±1.4 %."""
    decision = decide(submission, later(submission, speed), slowdown=0.05)
    assert decision.outcome == outcome
    assert decision.measured == pytest.approx(1 / speed - 1)


def test_growth_is_exact(submission: dict[str, Any]) -> None:
    """A limit that is just met is kept; one byte more breaks it."""
    size = submission["size"]["optimized"]["stored_bytes"]
    assert (
        decide(submission, later(submission, growth=0.01), growth=round(size * 1.01) / size - 1 + 1e-12).outcome
        == "passed"
    )
    decision = decide(submission, later(submission, growth=0.02), growth=0.01)
    assert (decision.outcome, decision.reason) == ("failed", "2.0 % is not at most 1.0 %")


def test_a_small_limit_is_named_in_full(submission: dict[str, Any]) -> None:
    """A quarter of a percent is not 0.2 %."""
    decision = decide(submission, later(submission, growth=0.02), growth=0.0025)
    assert decision.reason == "2.0 % is not at most 0.25 %"


def test_the_same_answers_are_no_drop(submission: dict[str, Any]) -> None:
    """Equal predictions keep even a limit of nothing."""
    assert decide(submission, later(submission), drop=0.0).outcome == "passed"


def test_a_drop_that_intervals_do_not_show_is_inconclusive(submission: dict[str, Any]) -> None:
    """360 items say nothing about half a point."""
    second = later(submission)
    second["provenance"]["predictions"]["optimized"] = "7" * 64
    decision = decide(submission, second, drop=0.005)
    assert decision.outcome == "inconclusive"
    assert "only a part of the interval" in decision.reason
    assert "at most 0.50 points" in decision.reason


def test_noise_and_other_work_are_inconclusive(submission: dict[str, Any]) -> None:
    """They neither pass nor fail, and say why."""
    assert decide(submission, later(submission, 0.5, noisy=True), slowdown=0.05).noisy
    other = later(submission)
    other["comparisons"]["speed"]["threads"] = 2
    decision = decide(submission, other, slowdown=0.05)
    assert (decision.outcome, decision.reason) == ("inconclusive", "not comparable: threads 1 against 2")


def test_limits_are_decided_in_their_order(submission: dict[str, Any]) -> None:
    """However they are asked for; an unknown one is an error."""
    limits = {"growth": 0.1, "slowdown": 0.1}
    assert [decision.name for decision in hold_against(submission, submission, limits)] == ["slowdown", "growth"]
    with pytest.raises(KeyError, match="no limit is called speed"):
        hold_against(submission, submission, {"speed": 0.1})
