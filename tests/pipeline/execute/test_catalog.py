"""What the planner asks of this installation, and the nodes that an optional package brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.errors import EnvironmentProblem
from pipeline.core.plan import Plan, make_plan
from pipeline.execute import environment
from pipeline.execute.catalog import package_version
from tests.golden import plan_ids
from tests.project import Project

SMOKE = Path(__file__).parents[3] / "experiments" / "smoke.yaml"


def plan(*changes: str) -> Plan:
    return make_plan(build(load(SMOKE), list(changes)), plan_ids._CATALOG)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is an environment's problem, with the command that installs it."""
    with pytest.raises(EnvironmentProblem, match="no_such_package is not installed") as caught:
        package_version("no_such_package", "mlperf")
    assert caught.value.hint == 'pip install "tinytorch-pipeline[mlperf]"'


def test_loadgens_version_is_found_without_importing_it() -> None:
    """The version comes from the package's metadata, under the name it is installed by."""
    if environment.library_version("mlperf_loadgen") == "absent":
        pytest.skip("LoadGen is not installed")
    assert package_version("mlperf_loadgen", "mlperf")[0].isdigit()


def test_loadgen_is_a_node_only_where_it_is_asked_for() -> None:
    """With harness: loadgen there is one more node, and the comparison keeps its id."""
    own, asked = plan(), plan("benchmark.harness=loadgen")
    assert {node.stage for node in asked.nodes} - {node.stage for node in own.nodes} == {"loadgen"}
    assert own.runs[0].loadgen is None
    assert asked.runs[0].benchmark == own.runs[0].benchmark
    node = asked.node(asked.runs[0].loadgen or "")
    assert node.spec["mlperf_loadgen"] == "1"
    assert "processes" not in node.spec  # what it does not read changes nothing


def test_a_plan_without_the_package_ends_early() -> None:
    """An experiment that needs LoadGen is refused while it is planned, not after it has trained."""

    def absent(module: str, extra: str) -> str:
        raise EnvironmentProblem(module, hint=extra)

    catalog = plan_ids._CATALOG._replace(package_version=absent)
    with pytest.raises(EnvironmentProblem, match="mlperf_loadgen"):
        make_plan(build(load(SMOKE), ["benchmark.harness=loadgen"]), catalog)


def test_a_run_with_loadgen_says_why_it_has_no_figures(project: Project) -> None:
    """The smoke model is too quick for LoadGen: its submission has the time that was found and the reason."""
    pytest.importorskip("mlperf_loadgen")
    project.run("run", "experiments/smoke.yaml", "--set", "benchmark.harness=loadgen")
    (record,) = project.json("show", "smoke")["submission"]["loadgen"]
    assert record["result"] is None
    assert "LoadGen times queries from 100 µs on" in record["reason"]
    nodes = project.json("plan", "experiments/smoke.yaml", "--set", "benchmark.harness=loadgen")["nodes"]
    assert {node["status"] for node in nodes} == {"cached"}
