"""Which points failed: by their first node that did, with all their seeds, and only if nothing else is missing."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.errors import StageFailed
from pipeline.core.event import Outcome
from pipeline.core.keys import Preimage
from pipeline.core.plan import Plan, make_plan
from pipeline.execute.failures import failed_points, in_words
from pipeline.execute.scheduler import NodeResult
from pipeline.store.record import Record
from tests.golden import plan_ids

SMOKE = Path(__file__).parents[3] / "experiments" / "smoke.yaml"
RECORD = Record("0" * 64, "", Preimage("train", 1, {}, "", {}, {}), {}, 0.0, 0.0)


def make(*settings: str, seeds: str = "[0]") -> Plan:
    experiment = build(load(SMOKE), [f"seeds={seeds}"], ["optimize.prune.sparsity=0.25,0.5"])
    return make_plan(experiment, plan_ids._CATALOG)


def ended(plan: Plan, *failed: str, error: Exception | None = None) -> dict[str, NodeResult]:
    """Results in which these nodes failed, and what they feed is skipped."""
    results: dict[str, NodeResult] = {}
    for node in plan.nodes:
        if node.id in failed:
            results[node.id] = NodeResult(node, Outcome.FAILED, "new", None, error or StageFailed("it broke"))
        elif any(results[ref.node].record is None for ref in node.inputs.values()):
            results[node.id] = NodeResult(node, Outcome.SKIPPED, "", None)
        else:
            results[node.id] = NodeResult(node, Outcome.RAN, "new", RECORD)
    return results


def test_without_a_failure_there_is_none() -> None:
    """An empty answer, not None: the plan is complete."""
    plan = make()
    assert failed_points(plan, ended(plan)) == ()


def test_a_failure_belongs_to_the_points_that_need_it() -> None:
    """Node, settings and message are told; the other point is not mentioned."""
    plan = make()
    results = ended(plan, plan.runs[1].steps[0], plan.runs[1].steps[1])
    expected = {
        "index": 1,
        "label": "sparsity=0.5",
        "seed": 0,
        "point": {"optimize.prune.sparsity": 0.5},
        "node": "optimize prune structured sparsity=0.5",
        "reason": "it broke",
    }
    assert failed_points(plan, results) == (expected,)


def test_what_feeds_all_points_fails_them_all() -> None:
    """A baseline that cannot be trained leaves nothing."""
    plan = make()
    failed = failed_points(plan, ended(plan, plan.runs[0].train))
    assert failed is not None
    assert [point["index"] for point in failed] == [0, 1]


def test_seeds_of_a_point_fail_together() -> None:
    """A point with fewer seeds than the others could not be compared with them."""
    plan = make(seeds="[0, 7]")
    failed = failed_points(plan, ended(plan, plan.runs[1].benchmark))
    assert failed is not None
    assert [(point["index"], point["seed"]) for point in failed] == [(0, 0), (1, 7)]
    assert failed[0]["reason"] == "with seed 7 the same point failed: it broke"
    assert failed[1]["reason"] == "it broke"


def test_a_node_that_was_not_reached_is_no_failure() -> None:
    """A run that was stopped, or of which a part was asked for, says nothing about its points."""
    plan = make()
    results = ended(plan, plan.runs[0].steps[0])
    benchmark = results[plan.runs[1].benchmark]
    results[plan.runs[1].benchmark] = benchmark._replace(outcome=Outcome.SKIPPED, record=None)
    assert failed_points(plan, results) is None
    del results[plan.runs[1].benchmark]
    assert failed_points(plan, results) is None


def test_messages_say_what_they_are_and_are_bounded() -> None:
    """What is not ours is named by its type; a huge message does not fill a submission."""
    assert in_words(StageFailed("it broke")) == "it broke"
    assert in_words(KeyError("x")) == "KeyError: 'x'"
    plan = make()
    failed = failed_points(plan, ended(plan, plan.runs[0].train, error=StageFailed("x" * 5000)))
    assert failed is not None
    assert len(failed[0]["reason"]) == 1000
