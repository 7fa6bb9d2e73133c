"""Goals are decided at the bound of the interval, and what is simulated meets no speed goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.schemas import read_schema
from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.goals import decide, limits_of
from pipeline.submission.metrics import METRICS

Make = Callable[..., Candidate]


def with_speedup(candidate: Make, record: dict[str, Any], **changes: Any) -> Candidate:
    """A candidate whose primary comparison has this ratio."""
    benchmark = candidate(0).benchmark
    comparison = {**benchmark["comparisons"][0], "speedup": record, **changes}
    return candidate(0, benchmark={**benchmark, "comparisons": [comparison]})


@pytest.mark.parametrize(
    ("kind", "limit", "status"),
    [
        ("at_least", 1.5, "met"),
        ("at_least", 1.500001, "inconclusive"),
        ("at_least", 2.0, "inconclusive"),
        ("at_least", 2.000001, "not_met"),
        ("at_most", 2.0, "met"),
        ("at_most", 1.999999, "inconclusive"),
        ("at_most", 1.5, "inconclusive"),
        ("at_most", 1.499999, "not_met"),
    ],
)
def test_a_limit_is_decided_at_the_bounds(
    candidate: Make, ratio: Callable[..., Any], kind: str, limit: float, status: str
) -> None:
    """The interval from 1.5 to 2.0 meets what all of it keeps, and breaks what none of it keeps."""
    run = with_speedup(candidate, {**ratio(1.7), "interval": [1.5, 2.0]})
    record = decide(("speedup", kind, limit), run, "test")
    assert record["status"] == status
    assert record["interval"] == [1.5, 2.0]


@pytest.mark.parametrize(("limit", "status"), [(0.05, "met"), (0.01, "inconclusive"), (0.0, "inconclusive")])
def test_a_drop_of_accuracy_is_decided_at_the_bound_of_the_paired_difference(
    candidate: Make, model: Callable[..., ModelResult], limit: float, status: str
) -> None:
    """Two items fewer of 360 are a drop of 0.56 points, 1.64 at most."""
    run = candidate(0, baseline=model("b", 351, 351, 9), optimized=model("o", 349, 349, 9))
    record = decide(("accuracy", "max_drop", limit), run, "test")
    assert record["status"] == status
    assert record["measured"] == pytest.approx(2 / 360)
    assert record["interval"][0] < record["measured"] < record["interval"][1]


def test_a_large_drop_is_not_met(candidate: Make) -> None:
    """Ten points are lost and one may be."""
    record = decide(("accuracy", "max_drop", 0.01), candidate(3), "test")
    assert record["status"] == "not_met"
    assert "nothing of the interval" in record["reason"]


@pytest.mark.parametrize(
    ("name", "kind", "limit", "status"),
    [
        ("size_bytes", "at_most", 40_960, "met"),
        ("size_bytes", "at_most", 40_959, "not_met"),
        ("compression", "at_least", 1_204_000 / 40_960, "met"),
        ("accuracy", "at_least", 0.9, "met"),
        ("accuracy", "at_least", 0.99, "not_met"),
        ("latency_ms", "at_most", 0.04, "met"),
        ("throughput", "at_least", 30_000, "met"),
        ("throughput", "at_least", 40_000, "not_met"),
    ],
)
def test_every_metric_can_be_limited(candidate: Make, name: str, kind: str, limit: float, status: str) -> None:
    """Exact figures are met at equality."""
    assert decide((name, kind, limit), candidate(2), "test")["status"] == status


def test_a_servers_throughput_is_its_highest_rate(candidate: Make) -> None:
    """Decided at the rate's interval; without a rate nothing is decided, and the reason is said."""
    served = {"rate_per_s": 900.0, "interval": [850.0, 950.0], "rate_per_s_reason": None}
    for arm, status in ((served, "met"), ({**served, "rate_per_s": None, "rate_per_s_reason": "why"}, "inconclusive")):
        one = candidate(2)
        one.benchmark["comparisons"][0]["server"] = {"rate_per_s": None, "arms": {"optimized": arm}}
        record = decide(("throughput", "at_least", 800.0), one, "test")
        assert record["status"] == status
    assert record["reason"] == "there is no rate: why"


def test_nothing_is_claimed_from_a_noisy_comparison(candidate: Make, ratio: Callable[..., Any]) -> None:
    """However fast it looks."""
    run = with_speedup(candidate, ratio(9.0), noisy=True, verdict="noisy")
    for limit in (("speedup", "at_least", 1.5), ("latency_ms", "at_most", 1000.0)):
        record = decide(limit, run, "test")
        assert record["status"] == "inconclusive"
        assert "noisy" in record["reason"]


def test_a_simulated_saving_meets_no_speed_goal(candidate: Make) -> None:
    """Masks are multiplied like other weights; a lucky timing does not change that."""
    effect = candidate(0).effects[1]
    masked = {**effect, "technique": "magnitude_prune", "simulated": True, "nonzero_after": 1}
    run = candidate(0, effects=(masked,), steps=candidate(0).steps[:1])
    record = decide(("speedup", "at_least", 1.1), run, "test")
    assert record["status"] == "not_met"
    assert "simulated" in record["reason"]


def test_a_simulated_step_beside_an_executed_one_leaves_the_measurement_to_decide(candidate: Make) -> None:
    """Structured pruning makes the model faster, whatever masks do not."""
    effects = candidate(0).effects
    run = candidate(0, effects=(effects[0], {**effects[1], "simulated": True}, effects[2]))
    assert decide(("speedup", "at_least", 1.1), run, "test")["status"] == "met"


def test_a_simulated_saving_meets_a_size_goal_only_with_bytes_that_shrank(
    candidate: Make, model: Callable[..., ModelResult]
) -> None:
    """Sparse storage is smaller for real; zeros stored densely are not."""
    masked = ({**candidate(0).effects[1], "simulated": True},)
    dense = candidate(0, effects=masked, optimized=model("dense", 350, 350, 1_204_000))
    sparse = candidate(0, effects=masked, optimized=model("sparse", 350, 350, 300_000))
    limit = ("size_bytes", "at_most", 2_000_000)
    assert decide(limit, dense, "test")["status"] == "not_met"
    assert decide(limit, sparse, "test")["status"] == "met"


def test_only_accuracy_can_drop(candidate: Make) -> None:
    """A drop of anything else has no paired interval."""
    with pytest.raises(ValueError, match="accuracy"):
        decide(("speedup", "max_drop", 0.1), candidate(0), "test")


def test_a_goal_with_two_limits_gives_two_constraints() -> None:
    """Wishes are no limits."""
    goals = [{"metric": "speedup", "at_least": 1.0, "at_most": 9.0}, {"minimize": "size_bytes"}]
    assert limits_of(goals) == [("speedup", "at_least", 1.0), ("speedup", "at_most", 9.0)]


def test_the_metrics_are_those_that_experiments_can_name() -> None:
    """One thing has one name in YAML, schema and code."""
    properties = read_schema("experiment.v1")["$defs"]["goal"]["properties"]
    named = {name for key in ("metric", "minimize", "maximize") for name in properties[key]["enum"] if name}
    assert named == set(METRICS)
