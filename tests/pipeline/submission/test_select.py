"""The choice among sweep points: constraints first, then wishes, on validation only, blind to luck among seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.select import choose

Make = Callable[..., Candidate]
ACCURATE = {"metric": "accuracy", "max_drop": 0.03}


@pytest.fixture
def points(candidate: Make) -> list[Candidate]:
    return [candidate(i) for i in range(4)]


@pytest.mark.parametrize(
    ("goals", "chosen"),
    [
        ([ACCURATE, {"minimize": "size_bytes"}], 2),
        ([ACCURATE, {"maximize": "accuracy"}], 0),
        ([ACCURATE, {"metric": "speedup", "at_least": 1.5}, {"maximize": "accuracy"}], 0),
        ([{"maximize": "speedup"}, ACCURATE], 2),
        ([{"metric": "size_bytes", "at_most": 10_000}, {"metric": "accuracy", "at_least": 0.0}], 3),
        ([{"minimize": "latency_ms"}, {"metric": "accuracy", "at_least": 0.0}], 3),
    ],
)
def test_constraints_come_before_wishes(points: list[Candidate], goals: list[dict[str, Any]], chosen: int) -> None:
    """A point that violates a limit loses to one that keeps it, however good it is otherwise."""
    assert choose(points, goals).index == chosen


@pytest.mark.parametrize("goals", [[], [{"minimize": "size_bytes"}], [{"metric": "compression", "at_least": 2.0}]])
def test_without_a_goal_on_accuracy_a_significant_loss_is_a_violation(
    points: list[Candidate], goals: list[dict[str, Any]]
) -> None:
    """The default is the smallest model at no significant loss: point 3 loses ten points of accuracy."""
    choice = choose(points, goals)
    assert choice.index == 2
    assert choice.constraints[3][-1]["limit_kind"] == "no_significant_loss"
    assert choice.constraints[3][-1]["status"] == "not_met"


def test_the_test_split_plays_no_part(candidate: Make, model: Callable[..., ModelResult]) -> None:
    """The choice is the same whatever the test accuracies are."""
    goals = [ACCURATE, {"minimize": "size_bytes"}]
    runs = [candidate(i, optimized=model(f"o{i}", v, 0, s)) for i, (v, s) in enumerate(((352, 9000), (351, 8000)))]
    mirrored = [
        candidate(i, optimized=model(f"o{i}", v, 360, s)) for i, (v, s) in enumerate(((352, 9000), (351, 8000)))
    ]
    assert choose(runs, goals).index == choose(mirrored, goals).index == 1


def test_accuracy_is_read_at_the_estimate(candidate: Make, model: Callable[..., ModelResult]) -> None:
    """A drop of 2 of 360 keeps a limit of 1 %, although its interval reaches beyond: bounds would choose idle steps."""
    runs = [
        candidate(0, optimized=model("idle", 352, 352, 900_000)),
        candidate(1, optimized=model("a", 350, 350, 9000)),
    ]
    choice = choose(runs, [{"metric": "accuracy", "max_drop": 0.01}, {"minimize": "size_bytes"}])
    assert choice.index == 1
    assert choice.reason == "the best of the 2 points that keep every limit on the validation split"


def test_an_undecided_speed_limit_loses_to_a_decided_one(candidate: Make, ratio: Callable[..., Any]) -> None:
    """No second measurement would expose a lucky speed-up, so that its interval's bound counts."""
    runs = [candidate(0), candidate(2)]
    comparison = {**runs[1].speed, "speedup": ratio(1.55, 0.1)}
    doubtful = candidate(2, benchmark={**runs[1].benchmark, "comparisons": [comparison]})
    goals = [ACCURATE, {"metric": "speedup", "at_least": 1.5}, {"minimize": "size_bytes"}]
    assert choose([runs[0], runs[1]], goals).index == 1
    assert choose([runs[0], doubtful], goals).index == 0


def test_if_no_point_keeps_every_limit_the_one_that_violates_fewest_is_chosen(points: list[Candidate]) -> None:
    """And the reason says so."""
    choice = choose(points, [ACCURATE, {"metric": "speedup", "at_least": 9.0}])
    assert choice.index == 2
    assert "no point keeps every limit" in choice.reason


def test_runs_that_differ_in_seed_are_one_point_and_the_first_seed_is_submitted(
    candidate: Make, model: Callable[..., ModelResult]
) -> None:
    """The luckiest seed of the worse point does not win: its mean is 3 items below."""
    lucky = [candidate(0, index=i, seed=i, optimized=model(f"a{i}", c, c, 5000)) for i, c in enumerate((340, 356))]
    steady = [candidate(1, index=i + 2, seed=i, optimized=model(f"b{i}", c, c, 5000)) for i, c in enumerate((351, 351))]
    choice = choose([*lucky, *steady], [{"maximize": "accuracy"}])
    assert choice.index == 2


def test_ties_go_to_the_smaller_then_the_more_accurate_then_the_earlier(
    candidate: Make, model: Callable[..., ModelResult]
) -> None:
    """The choice is never arbitrary."""
    sizes = [candidate(i, optimized=model(f"o{i}", c, c, s)) for i, (c, s) in enumerate([(352, 5), (350, 4), (352, 4)])]
    goals = [{"metric": "accuracy", "at_least": 0.5}]
    assert choose(sizes, goals).index == 2
    assert choose([sizes[2], candidate(3, optimized=sizes[2].optimized)], goals).index == 0


def test_the_rule_is_written_out(points: list[Candidate]) -> None:
    """A reader of the submission can apply it again."""
    rule = choose(points, [{"maximize": "speedup"}, {"minimize": "size_bytes"}]).rule
    assert "on the validation split" in rule
    assert "then maximize speedup, then minimize size_bytes" in rule


def test_nothing_to_choose_from_is_an_error() -> None:
    """There is no submission of nothing."""
    with pytest.raises(ValueError, match="no run"):
        choose([], [])
