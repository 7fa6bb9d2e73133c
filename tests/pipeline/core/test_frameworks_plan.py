"""A comparison of frameworks in the plan: a node for each piece of work, whose id follows from what is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.load import load, loads
from pipeline.config.schema import case_names, fill, keys_at, node_at
from pipeline.core.errors import EnvironmentProblem
from pipeline.core.frameworks import case_title
from pipeline.core.frameworks_plan import plan_frameworks
from pipeline.core.plan import Catalog, Plan
from tests.golden.plan_ids import _CATALOG

EXAMPLE = Path(__file__).parents[3] / "experiments" / "vs_pytorch.yaml"
SIZES = [
    (op, key) for op in case_names() for key in keys_at(("frameworks", "cases", 0, op))
]  # every argument of every op


def planned(text: str, *settings: str, catalog: Catalog = _CATALOG) -> Plan:
    experiment = build(loads(text), set_=settings)
    assert experiment.frameworks is not None
    return plan_frameworks(experiment, experiment.frameworks, catalog)


def cases(*each: str) -> str:
    return f"name: x\nframeworks: {{cases: [{', '.join(each)}]}}\n"


def ids(plan: Plan) -> list[str]:
    return [node.id for node in plan.nodes if node.stage == "framework"]


def test_the_example_has_a_node_for_each_case() -> None:
    """And one that gathers them, and the report; no submission."""
    experiment = build(load(EXAMPLE))
    assert experiment.frameworks is not None
    plan = plan_frameworks(experiment, experiment.frameworks, _CATALOG)
    assert len(ids(plan)) == len(experiment.frameworks.cases) >= 20
    assert (experiment.runs, plan.runs, plan.submit) == ((), (), "")
    assert plan.frameworks is not None
    assert len(plan.node(plan.frameworks).inputs) == len(experiment.frameworks.cases)


@pytest.mark.parametrize(("op", "key"), SIZES)
def test_every_size_is_part_of_the_id_and_of_the_title(op: str, key: str) -> None:
    """Another value is another measurement, which a person can tell from the first."""
    node = node_at(("frameworks", "cases", 0, op, key))
    assert node is not None
    value: Any = fill({}, ("frameworks", "cases", 0, op))[key]
    other = [8, 16, 4] if key == "widths" else 8 if key == "bits" else 5 if key == "kernel_size" else value * 2
    text = {"depth": 2}.get(key, other)
    first, second = planned(cases(f"{op}: {{}}")), planned(cases(f"{op}: {{{key}: {text}}}"))
    assert ids(first) != ids(second)
    titles = [next(node.title for node in plan.nodes) for plan in (first, second)]
    assert titles[0] != titles[1] or key in ("heads", "context")


@pytest.mark.parametrize("setting", ["threads=2", "processes=9", "target_ci=0.5", "budget_s=1", "threshold=0.5"])
def test_how_it_is_timed_is_part_of_the_id(setting: str) -> None:
    """As in a benchmark."""
    text = cases("linear: {}")
    assert ids(planned(text)) != ids(planned(text, f"frameworks.{setting}"))


def test_a_preset_gives_defaults() -> None:
    """Quick is less precise; patience is part of no id."""
    text = cases("linear: {}")
    assert ids(planned(text)) != ids(planned(text, "frameworks.preset=quick"))
    assert ids(planned(text)) == ids(planned(text, "frameworks.wait_s=1"))


def test_one_case_more_measures_nothing_else_again() -> None:
    """Each piece of work is cached by itself."""
    assert ids(planned(cases("linear: {}", "mlp: {}")))[:1] == ids(planned(cases("linear: {}")))


def test_another_pytorch_is_another_measurement() -> None:
    """And where it is missing there is a plan all the same."""

    def missing(module: str, extra: str) -> str:
        raise EnvironmentProblem(module)

    text = cases("linear: {}")
    newer = _CATALOG._replace(package_version=lambda module, extra: "newer")
    without = planned(text, catalog=_CATALOG._replace(package_version=missing))
    assert next(node.spec["torch"] for node in without.nodes) is None
    assert len({*ids(planned(text)), *ids(planned(text, catalog=newer)), *ids(without)}) == 3


def test_titles_say_op_sizes_precision_and_batch() -> None:
    """What is as usual is left out."""
    args = {"widths": [784, 10], "bits": 8, "batch_size": 256}
    assert case_title("mlp", args) == "mlp 784-10, int8, batch 256"
    assert case_title("linear", {"inputs": 2, "outputs": 3, "bits": 32, "batch_size": 1}) == "linear 2x3"
