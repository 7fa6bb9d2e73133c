"""Keys of the benchmark section that only the scenario generate has."""

from __future__ import annotations

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.core.experiment import BenchmarkSpec
from pipeline.core.specs import timing

HEAD = "name: x\ndata: {name: digits}\nmodel: {arch: mlp}\noptimize: [{quantize: {}}]\n"


@pytest.mark.parametrize("given", ["prompt_tokens: 5", "new_tokens: 5", "kv_cache: int8"])
def test_its_keys_are_for_texts_only(given: str) -> None:
    """In a scenario of images nothing looks at them."""
    (problem,) = check(loads(f"{HEAD}benchmark: {{scenario: offline, {given}}}\n", "x.yaml"))
    assert (problem.code, problem.yaml_path) == ("E119", f"benchmark.{given.partition(':')[0]}")
    assert "for scenario: generate" in problem.message


@pytest.mark.parametrize("given", ["new_tokens: 1", "prompt_tokens: 0", "kv_cache: int4"])
def test_values_that_mean_nothing(given: str) -> None:
    """One token has no time per token after it; a text begins with something."""
    found = check(loads(f"{HEAD}benchmark: {{scenario: generate, {given}}}\n", "x.yaml"))
    assert f"benchmark.{given.partition(':')[0]}" in [problem.yaml_path for problem in found]


def test_the_spec_holds_what_is_given() -> None:
    """And leaves out what is not, so that other measurements keep their keys."""
    given = "{scenario: server, latency_limit_ms: 5}"
    (run,) = build(loads(f"{HEAD}benchmark: {given}\n", "x.yaml")).runs
    assert {"prompt_tokens", "new_tokens", "kv_cache"}.isdisjoint(timing(run.benchmark)[0])
    texts = BenchmarkSpec(scenario="generate", new_tokens=9, kv_cache="int8")
    spec, _ = timing(texts)
    assert (spec["new_tokens"], spec["kv_cache"]) == (9, "int8")


@pytest.mark.parametrize("goal", ["{metric: tokens_per_second, at_least: 100}", "{minimize: ttft_ms}"])
def test_goals_about_tokens_need_texts(goal: str) -> None:
    """Nothing else measures them; a sweep may bring the scenario."""
    (problem,) = check(loads(f"{HEAD}goals: [{goal}]\n", "x.yaml"))
    assert (problem.code, problem.yaml_path.partition(".")[0]) == ("E118", "goals[0]")
    assert "scenario: generate" in (problem.hint or "")
    text = HEAD.replace("digits", "text").replace("mlp", "gpt")
    assert check(loads(f"{text}benchmark: {{scenario: generate}}\ngoals: [{goal}]\n", "x.yaml")) == []
