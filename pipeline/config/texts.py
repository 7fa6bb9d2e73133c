"""Goals that only the scenario generate can decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.config.finding import Finding
from pipeline.core.experiment import JSON

__all__ = ["OF_TEXTS", "text_goal_findings"]

OF_TEXTS = ("tokens_per_second", "ttft_ms")


def text_goal_findings(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """A goal about tokens needs a benchmark that continues texts, unless a sweep may bring it."""
    benchmark, goals = data.get("benchmark"), data.get("goals")
    scenario = benchmark.get("scenario") if isinstance(benchmark, dict) else None
    if scenario == "generate" or "benchmark.scenario" in str(data.get("sweep")) or not isinstance(goals, list):
        return
    for index, goal in enumerate(goals):
        for key in ("metric", "minimize", "maximize"):
            metric = goal.get(key) if isinstance(goal, dict) else None
            if metric in OF_TEXTS:
                message = f"{metric} is measured where texts are continued"
                yield Finding("E118", ("goals", index, key), message, "write benchmark: {scenario: generate}")
