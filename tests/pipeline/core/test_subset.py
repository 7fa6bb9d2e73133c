"""What `--until` and `--only` mean: nodes with all that feeds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.errors import UserError
from pipeline.core.plan import Plan, make_plan
from pipeline.core.subset import ancestors, check_stages, choose
from tests.golden.plan_ids import _CATALOG

SWEEP = Path(__file__).parents[3] / "experiments" / "prune_quant.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(build(load(SWEEP)), _CATALOG)


def stages(plan: Plan, chosen: frozenset[str] | None) -> list[str]:
    assert chosen is not None
    return sorted({node.stage for node in plan.nodes if node.id in chosen})


def test_nothing_asked_for_is_the_whole_plan(plan: Plan) -> None:
    """None, so that nothing has to be compared."""
    assert choose(plan) is None


def test_until_a_stage_takes_its_nodes_and_what_feeds_them(plan: Plan) -> None:
    """Nothing that comes later, and nothing beside it."""
    assert stages(plan, choose(plan, until="optimize")) == ["data", "optimize", "train"]
    assert stages(plan, choose(plan, until="submit")) == sorted({n.stage for n in plan.nodes} - {"report"})


@pytest.mark.parametrize("point", ["1", "sparsity=0.5 bits=32", "bits=32 sparsity=0.5"])
def test_a_point_is_named_by_number_or_label(point: str, plan: Plan) -> None:
    """The order of words does not matter; the submission, which needs every point, is left out."""
    chosen = choose(plan, only=[point])
    assert chosen is not None
    assert plan.runs[0].benchmark in chosen
    assert plan.runs[1].benchmark not in chosen
    assert "submit" not in stages(plan, chosen)


def test_a_part_of_a_label_names_every_point_that_has_it(plan: Plan) -> None:
    """Here one for each sparsity."""
    chosen = choose(plan, only=["bits=8"])
    assert chosen is not None
    assert [run.run.label for run in plan.runs if run.benchmark in chosen] == [
        "sparsity=0.5 bits=8",
        "sparsity=0.75 bits=8",
    ]


def test_both_together_are_what_both_mean(plan: Plan) -> None:
    """One point's optimized model, without any timing."""
    chosen = choose(plan, until="optimize", only=["2"])
    assert stages(plan, chosen) == ["data", "optimize", "train"]
    assert chosen == ancestors(plan, [plan.runs[1].steps[-1]])


@pytest.mark.parametrize(
    ("until", "only", "said"),
    [
        ("benchmrk", (), "did you mean 'benchmark'?"),
        ("loadgen", (), "stages here: data, "),
        (None, ("bits=7",), "numbered 1 to 6; like it: sparsity="),
        (None, ("0",), "numbered 1 to 6"),
        (None, ("7",), "numbered 1 to 6"),
        (None, ("",), "numbered 1 to 6"),
        ("submit", ("1",), "leave out --only or --until"),
    ],
)
def test_what_is_not_there_is_bad_input(until: str | None, only: tuple[str, ...], said: str, plan: Plan) -> None:
    """With what there is."""
    with pytest.raises(UserError) as raised:
        choose(plan, until=until, only=only)
    assert said in raised.value.hint


def test_stages_are_checked_by_name(plan: Plan) -> None:
    """Whichever option names them."""
    check_stages(plan, ["train", "report"])
    with pytest.raises(UserError, match="'trian'"):
        check_stages(plan, ["trian"])
