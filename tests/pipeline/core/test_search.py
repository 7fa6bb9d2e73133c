"""Searches as values: rounds of halving, who goes on, seeds of trials, and points from raw draws."""

from __future__ import annotations

import pytest

from pipeline.core.plan import TIMED_METRICS
from pipeline.core.search import (
    Resource,
    Rung,
    Score,
    SearchSpec,
    objectives,
    readable_point,
    rungs,
    search_of,
    seed_of,
    survivors,
)
from pipeline.submission.metrics import METRICS


def halving(trials: int, low: float, high: float, factor: float) -> tuple[tuple[float, int], ...]:
    spec = SearchSpec("halving", trials, 0, trials, {}, Resource("epochs", low, high, factor))
    return tuple((rung.resource, rung.points) for rung in rungs(spec))


def score(violated: int = 0, wish: float = 0.0, tie: float = 0.0) -> Score:
    return Score(violated, 0, (wish,), (tie, 0.0), ())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((27, 2, 18, 3), ((2, 27), (6, 9), (18, 3))),
        ((8, 1, 8, 2), ((1, 8), (2, 4), (4, 2), (8, 1))),
        ((9, 2, 20, 3), ((2, 9), (6, 3), (20, 1))),
        ((9, 2, 3, 3), ((2, 9), (3, 3))),
        ((2, 1, 100, 10), ((1, 2), (10, 1), (100, 1))),
        ((4, 0.1, 0.4, 2), ((0.1, 4), (0.2, 2), (0.4, 1))),
    ],
)
def test_halving_gives_more_to_fewer(
    asked: tuple[int, float, float, float], expected: tuple[tuple[float, int], ...]
) -> None:
    """From `min` to `max` exactly, whole numbers staying whole, and at least one point to the end."""
    assert halving(*asked) == expected


def test_other_strategies_have_no_rounds_of_halving() -> None:
    """Their trials are their points."""
    spec = SearchSpec("tpe", 30, 0, 4, {}, None)
    assert rungs(spec) == ()
    assert spec.most_points == 30
    assert SearchSpec("halving", 9, 0, 9, {}, Resource("epochs", 2, 18, 3)).most_points == 13


def test_the_best_go_on_and_what_failed_does_not() -> None:
    """Limits count before wishes, the earlier one of equals goes first, and places keep their order."""
    scores = [score(wish=3), None, score(violated=1, wish=0), score(wish=1), score(wish=1)]
    assert survivors(scores, 1) == (3,)
    assert survivors(scores, 3) == (0, 3, 4)
    assert survivors(scores, 9) == (0, 2, 3, 4)
    assert survivors([None, None], 1) == ()


def test_a_document_says_what_is_searched() -> None:
    """With the batch of its strategy, and nulls left out."""
    axes = {"bits": {"choice": [8, 4], "uniform": None}, "lr": {"log_uniform": [1e-4, 1.0]}}
    search = {"strategy": "nsga2", "trials": 30, "seed": 3, "axes": axes}
    spec = search_of({"sweep": {"search": search}})
    assert spec == SearchSpec("nsga2", 30, 3, 10, {"bits": {"choice": [8, 4]}, "lr": {"log_uniform": [1e-4, 1]}}, None)
    assert search_of({"sweep": {"search": {**search, "batch": 6}}}) == SearchSpec(
        "nsga2", 30, 3, 6, dict(spec.axes), None
    )
    assert search_of({"sweep": {"grid": {}}}) is None
    assert search_of({}) is None


def test_the_resource_of_halving_is_read() -> None:
    """All of its points are asked for at once."""
    resource = {"axis": "model.train.epochs", "min": 2.0, "max": 18.0, "factor": 3.0}
    axes = {"bits": {"choice": [8, 4]}}
    spec = search_of(
        {"sweep": {"search": {"strategy": "halving", "trials": 9, "seed": 0, "axes": axes, "resource": resource}}}
    )
    assert spec is not None
    assert spec.batch == 9
    assert rungs(spec) == (Rung(2, 9), Rung(6, 3), Rung(18, 1))


def test_points_are_readable() -> None:
    """Raw draws are rounded as random axes are, and stay within their range."""
    axes = {
        "sparsity": {"uniform": [0.3, 0.9]},
        "lr": {"log_uniform": [1e-4, 1e-2]},
        "epochs": {"integers": [1, 9]},
        "hidden": {"choice": [[64], [128, 64]]},
    }
    drawn = {"sparsity": 0.4270512345, "lr": 0.00123456, "epochs": 7, "hidden": 1}
    expected = {"sparsity": 0.4271, "lr": 0.001235, "epochs": 7, "hidden": [128, 64]}
    assert readable_point(axes, drawn) == expected
    assert readable_point({"x": axes["sparsity"]}, {"x": 0.9}) == {"x": 0.9}


def test_each_trial_has_a_seed_of_its_own() -> None:
    """It depends on the search's seed and the trial's number alone."""
    assert len({seed_of(seed, number) for seed in range(3) for number in range(100)}) == 300
    assert seed_of(0, 0) == 1427366890
    assert all(0 <= seed_of(1, number) < 2**32 for number in range(100))


def test_objectives_are_the_wishes_of_the_goals() -> None:
    """Several only for nsga2; without a wish, the size, as points are chosen."""
    goals = [{"metric": "speedup", "at_least": 1.5}, {"maximize": "accuracy"}, {"minimize": "size_bytes"}]
    assert objectives(goals, "tpe") == ("maximize accuracy",)
    assert objectives(goals, "nsga2") == ("maximize accuracy", "minimize size_bytes")
    assert objectives([], "halving") == ("minimize size_bytes",)


def test_a_score_survives_as_json() -> None:
    """As it is stored, so it is read."""
    known = Score(1, 2, (0.5,), (10.0, -0.9), (-0.1, 0.2))
    assert Score.from_json(known.to_json()) == known


def test_the_planner_knows_which_metrics_are_timed() -> None:
    """Those whose kind is speed; goals without one need no benchmark to be judged."""
    assert {name for name, metric in METRICS.items() if metric.kind == "speed"} == TIMED_METRICS
