"""Peers in the plan: nodes of their own where they are asked for, and nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.errors import EnvironmentProblem
from pipeline.core.plan import Catalog, Plan, make_plan
from pipeline.execute.catalog import package_version
from tests.golden.plan_ids import _CATALOG

SMOKE = Path(__file__).parents[3] / "experiments" / "smoke.yaml"


def planned(*settings: str, catalog: Catalog = _CATALOG) -> Plan:
    return make_plan(build(load(SMOKE), set_=settings), catalog)


def ids(plan: Plan, stage: str) -> list[str]:
    return [node.id for node in plan.nodes if node.stage == stage]


def spec(plan: Plan) -> Any:
    (node,) = (node for node in plan.nodes if node.stage == "peers")
    return node.spec


def test_there_is_a_node_only_where_peers_are_asked_for() -> None:
    """The default is none."""
    assert ids(planned(), "peers") == []
    assert len(ids(planned("benchmark.peers=[torch]"), "peers")) == 1


def test_adding_a_peer_times_nothing_else_again() -> None:
    """Every other measurement keeps its id."""
    without, with_peers = planned(), planned("benchmark.peers=[onnxruntime, torch]")
    assert {n.id for n in without.nodes if n.stage not in ("submit", "report")} <= {n.id for n in with_peers.nodes}


def test_versions_are_part_of_the_id() -> None:
    """Another version is another measurement; only the packages of the peers that are asked for count."""
    newer = _CATALOG._replace(package_version=lambda module, extra: "2" if module == "onnx" else "1")
    asked = "benchmark.peers=[onnxruntime]"
    assert spec(planned(asked))["peers"] == {"onnxruntime": {"onnx": "1", "onnxruntime": "1"}}
    assert ids(planned(asked), "peers") != ids(planned(asked, catalog=newer), "peers")
    asked = "benchmark.peers=[torch]"
    assert ids(planned(asked), "peers") == ids(planned(asked, catalog=newer), "peers")


def test_patience_is_not_part_of_the_id() -> None:
    """As in the benchmark."""
    asked = "benchmark.peers=[torch]"
    assert ids(planned(asked), "peers") == ids(planned(asked, "benchmark.wait_s=7"), "peers")


def test_the_primary_comparison_is_what_peers_are_asked() -> None:
    """The first batch size and the first number of threads."""
    plan = planned("benchmark.peers=[torch]", "benchmark.batch_sizes=[4, 1]", "benchmark.threads=[2, 1]")
    assert (spec(plan)["batch_size"], spec(plan)["threads"]) == (4, 2)


def test_a_missing_package_is_found_before_anything_runs() -> None:
    """The message says how to install it."""

    def find(module: str, extra: str) -> str:
        return package_version("no_such_package_here" if module == "openvino" else "numpy", extra)

    catalog = _CATALOG._replace(package_version=find)
    planned("benchmark.peers=[onnxruntime, torch]", catalog=catalog)
    with pytest.raises(EnvironmentProblem, match="no_such_package_here is not installed") as caught:
        planned("benchmark.peers=[onnxruntime, openvino]", catalog=catalog)
    assert caught.value.hint == 'pip install "tinytorch-pipeline[peers]"'
    assert caught.value.exit_code == 6
