"""Verdicts of the comparisons: McNemar's test on the same items, Holm's correction over the sweep, exact sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.compare import compare_accuracy, compare_size, speed_verdicts

Make = Callable[..., Candidate]


@pytest.mark.parametrize(
    ("baseline", "optimized", "verdict"),
    [
        (350, 350, "no significant change"),
        (350, 345, "no significant change"),
        (350, 344, "significantly worse"),
        (344, 350, "significantly better"),
        (350, 250, "significantly worse"),
    ],
)
def test_the_verdict_on_accuracy_follows_mcnemar(
    candidate: Make, model: Callable[..., ModelResult], baseline: int, optimized: int, verdict: str
) -> None:
    """Five items lost and none won is p = 0.0625, six is p = 0.031."""
    run = candidate(0, baseline=model("b", 0, baseline, 9), optimized=model("o", 0, optimized, 9))
    comparison = compare_accuracy(run, "test")
    assert comparison["verdict"] == verdict
    assert comparison["delta"] == pytest.approx((optimized - baseline) / 360)
    assert comparison["interval"][0] <= comparison["delta"] <= comparison["interval"][1]


def test_discordant_items_are_counted_on_both_sides(candidate: Make) -> None:
    """Equal accuracies can hide many changed answers."""
    run = candidate(0)
    flipped = replace(run.optimized, correct={"test": np.roll(run.baseline.correct["test"], 4)})
    comparison = compare_accuracy(replace(run, optimized=flipped), "test")
    assert (comparison["only_baseline_correct"], comparison["only_optimized_correct"]) == (4, 4)
    assert comparison["p_value"] == 1.0


@pytest.mark.parametrize(("size", "verdict"), [(1000, "smaller"), (1_204_000, "same"), (2_000_000, "larger")])
def test_sizes_are_compared_exactly(
    candidate: Make, model: Callable[..., ModelResult], size: int, verdict: str
) -> None:
    """The ratio is that of stored bytes."""
    comparison = compare_size(candidate(0, optimized=model("o", 350, 350, size)))
    assert comparison["verdict"] == verdict
    assert comparison["ratio"] == 1_204_000 / size


def sweep(candidate: Make, per_process: list[float], count: int) -> list[Candidate]:
    """`count` points, the first with these ratios by process and the claim that it is faster."""
    benchmark = candidate(0).benchmark
    speed = benchmark["comparisons"][0]
    weak = {**speed, "speedup": {**speed["speedup"], "per_process": per_process}}
    plain = {**speed, "verdict": "equivalent", "speedup": {**speed["speedup"], "per_process": [1.0] * 5 + [1.001]}}
    return [candidate(0, benchmark={**benchmark, "comparisons": [c]}) for c in [weak, *[plain] * (count - 1)]]


def test_a_weak_claim_does_not_survive_being_one_of_many(candidate: Make) -> None:
    """Alone it stands, among twenty it is what chance would give."""
    weak = [1.03, 1.08, 1.05, 1.03, 1.09, 1.06]
    assert speed_verdicts(sweep(candidate, weak, 1))[0]["verdict"] == "faster"
    corrected = speed_verdicts(sweep(candidate, weak, 20))[0]
    assert corrected["verdict"] == "inconclusive"
    assert corrected["adjusted_p_value"] > 0.05
    assert corrected["compared"] == 20


def test_a_strong_claim_survives(candidate: Make) -> None:
    """Six processes that agree on 1.6 are no accident."""
    strong = [1.60, 1.61, 1.59, 1.60, 1.62, 1.60]
    assert speed_verdicts(sweep(candidate, strong, 20))[0]["verdict"] == "faster"


def test_verdicts_without_a_claim_need_no_correction(candidate: Make) -> None:
    """Noisy stays noisy, equivalent stays equivalent."""
    runs = sweep(candidate, [1.6] * 6, 2)
    comparison: dict[str, Any] = {**runs[0].speed, "noisy": True}
    noisy = candidate(0, benchmark={**runs[0].benchmark, "comparisons": [comparison]})
    assert [verdict["verdict"] for verdict in speed_verdicts([noisy, runs[1]])] == ["noisy", "equivalent"]
