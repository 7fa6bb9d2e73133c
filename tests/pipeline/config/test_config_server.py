"""Keys of the benchmark section that only the scenario server has, one of which it needs."""

from __future__ import annotations

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.core.errors import Problem

HEAD = "name: x\ndata: {name: digits}\nmodel: {arch: mlp}\noptimize: [{quantize: {}}]\n"


def problems(benchmark: str, rest: str = "") -> list[Problem]:
    return check(loads(f"{HEAD}benchmark: {benchmark}\n{rest}", "x.yaml"))


def test_a_server_needs_a_limit() -> None:
    """The problem points at the scenario, and its hint says what the limit is."""
    (problem,) = problems("{scenario: server}")
    assert (problem.code, problem.yaml_path, problem.path) == ("E128", "benchmark.scenario", "x.yaml:5:23")
    assert problem.message == "scenario: server needs latency_limit_ms beside it"
    assert "99 %" in (problem.hint or "")


@pytest.mark.parametrize("key", ["latency_limit_ms", "rate_per_s"])
@pytest.mark.parametrize("scenario", ["single_stream", "multi_stream", "offline"])
def test_its_keys_are_for_a_server_only(scenario: str, key: str) -> None:
    """A limit that nothing looks at is an error."""
    (problem,) = problems(f"{{scenario: {scenario}, {key}: 5}}")
    assert (problem.code, problem.yaml_path) == ("E119", f"benchmark.{key}")
    assert "for scenario: server" in problem.message


@pytest.mark.parametrize("given", ["latency_limit_ms: 5", "latency_limit_ms: 0.5, rate_per_s: 10"])
def test_a_server_with_a_limit_is_fine(given: str) -> None:
    """With or without a rate."""
    assert problems(f"{{scenario: server, {given}}}") == []


def test_a_sweep_is_checked_point_by_point() -> None:
    """A point may bring scenario and limit together; one that lacks the limit is reported where it is written."""
    entry = "{benchmark.scenario: server, benchmark.latency_limit_ms: 5}"
    assert problems("{scenario: single_stream}", f"sweep: {{include: [{entry}]}}\n") == []
    (problem,) = problems("{}", "sweep: {grid: {benchmark.scenario: [offline, server]}}\n")
    assert (problem.code, problem.path) == ("E128", "x.yaml:6:46")


def test_numbers_of_a_server_are_positive() -> None:
    """A limit of nothing and a rate of nothing cannot be met or run at."""
    found = problems("{scenario: server, latency_limit_ms: 0, rate_per_s: -1}")
    assert [problem.code for problem in found] == ["E114", "E114"]


def test_the_spec_holds_both() -> None:
    """Numbers are floats, whatever the file wrote, and null is what a file without them says."""
    with_rate = loads(f"{HEAD}benchmark: {{scenario: server, latency_limit_ms: 5, rate_per_s: 100}}\n", "x.yaml")
    (run,) = build(with_rate).runs
    assert (run.benchmark.latency_limit_ms, run.benchmark.rate_per_s) == (5.0, 100.0)
    (run,) = build(loads(HEAD, "x.yaml")).runs
    assert (run.benchmark.latency_limit_ms, run.benchmark.rate_per_s) == (None, None)
