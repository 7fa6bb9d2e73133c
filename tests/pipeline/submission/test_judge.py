"""What a search is told of a point: the figures that the submitted point is chosen by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.search import Score
from pipeline.submission.candidate import Candidate
from pipeline.submission.select import choose, judge

GOALS = [
    {"metric": "accuracy", "max_drop": 0.03},
    {"metric": "speedup", "at_least": 1.5},
    {"minimize": "size_bytes"},
]


def test_limits_that_are_met_have_no_excess(candidate: Callable[..., Candidate]) -> None:
    """The third point keeps both limits; its wish is its size."""
    found = judge([candidate(2)], GOALS)
    assert (found["violated"], found["undecided"]) == (0, 0)
    assert found["wishes"] == [40_960]
    assert found["ties"][0] == 40_960
    assert found["ties"][1] == pytest.approx(-350 / 360)
    assert found["excess"] == [pytest.approx(2 / 360 - 0.03), pytest.approx((1.5 - 1.92) / 1.5)]


def test_a_missed_limit_says_by_how_much(candidate: Callable[..., Candidate]) -> None:
    """As a share of the limit; a loss of accuracy as a share of all items."""
    found = judge([candidate(3)], GOALS)
    assert found["violated"] == 1
    assert found["excess"][0] == pytest.approx(34 / 360 - 0.03)
    found = judge([candidate(1)], GOALS)
    assert found["excess"][1] == pytest.approx((1.5 - 1.38) / 1.5)


def test_what_is_decided_by_more_than_the_figure_is_exceeded_a_little(candidate: Callable[..., Candidate]) -> None:
    """A simulated step meets no speed goal, however fast the copy was."""
    point = candidate(2)
    simulated = replace(point, effects=tuple({**effect, "simulated": True} for effect in point.effects))
    assert 0 < judge([simulated], GOALS)["excess"][1] < 1e-3


def test_a_goal_without_accuracy_guards_it(candidate: Callable[..., Candidate]) -> None:
    """A significant loss is one more limit."""
    goals = [{"minimize": "size_bytes"}]
    assert judge([candidate(2)], goals)["violated"] == 0
    lost = judge([candidate(3)], goals)
    assert lost["violated"] == 1
    assert lost["excess"] == [pytest.approx(34 / 360)]


def test_seeds_of_a_point_are_judged_together(candidate: Callable[..., Candidate], model: Callable[..., Any]) -> None:
    """Wishes and excesses are means."""
    members = [candidate(2), candidate(2, seed=1, optimized=model("other", 350, 349, 50_960))]
    found = judge(members, GOALS)
    assert found["wishes"] == [45_960]
    assert found["excess"][0] == pytest.approx(2 / 360 - 0.03)


def test_nothing_is_measured_where_no_goal_needs_it(candidate: Callable[..., Candidate]) -> None:
    """An empty benchmark is enough for goals of accuracy and size."""
    goals = [{"metric": "accuracy", "max_drop": 0.03}, {"minimize": "size_bytes"}]
    bare = candidate(2, benchmark={}, samples_digest="", profile=None)
    assert judge([bare], goals) == judge([candidate(2)], goals)


def test_scores_sort_as_points_are_chosen(candidate: Callable[..., Candidate]) -> None:
    """The best score belongs to the point that would be submitted."""
    candidates = [candidate(number) for number in range(4)]
    scores = [Score.from_json(judge([one], GOALS)) for one in candidates]
    assert min(range(4), key=lambda place: scores[place].order) == choose(candidates, GOALS).index
