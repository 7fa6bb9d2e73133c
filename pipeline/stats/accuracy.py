"""How sure an accuracy is, and whether two models differ on the same items. Nothing here knows models or files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.distributions import binomial_cdf, normal_quantile

__all__ = ["McNemar", "accuracy_record", "mcnemar", "wilson_interval"]

# Below this many discordant pairs the chi-square approximation is poor, and the exact test is used
# (McNemar 1947; the limit of 25 is Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91).
_EXACT_BELOW = 25


@dataclass(frozen=True)
class McNemar:
    """The items on which exactly one of two models is right, and how likely such an imbalance is by chance."""

    only_baseline: int
    only_candidate: int
    p_value: float
    method: str


def accuracy_record(correct: int, evaluated: int, confidence: float = 0.95) -> dict[str, Any]:
    """Return the record of an accuracy, with its counts and interval; raises ValueError as `wilson_interval` does."""
    return {
        "accuracy": correct / evaluated,
        "correct": correct,
        "evaluated": evaluated,
        "interval": list(wilson_interval(correct, evaluated, confidence)),
        "confidence": confidence,
        "method": "wilson",
    }


def wilson_interval(correct: int, evaluated: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (E. B. Wilson, JASA 22:209, 1927), within [0, 1].

    Unlike the normal approximation it holds near 0 and 1 and for few items. Raises ValueError unless
    0 <= correct <= evaluated and evaluated >= 1.
    """
    if not 0 <= correct <= evaluated or evaluated < 1:
        raise ValueError(f"{correct} correct of {evaluated} evaluated is not a rate")
    z2 = normal_quantile(0.5 + confidence / 2) ** 2
    center = (correct + z2 / 2) / (evaluated + z2)
    half = np.sqrt(z2 * (correct * (evaluated - correct) / evaluated + z2 / 4)) / (evaluated + z2)
    low = 0.0 if correct == 0 else float(center - half)  # exactly, where rounding would leave 1e-18
    high = 1.0 if correct == evaluated else float(center + half)
    return low, high


def mcnemar(baseline_correct: NDArray[np.bool_], candidate_correct: NDArray[np.bool_]) -> McNemar:
    """Test whether two models err equally often, from their answers to the same items, both bool (N,).

    Exact (two-sided binomial) below 25 items on which they disagree, else chi-square with Edwards' continuity
    correction. Raises ValueError if the shapes differ.
    """
    if baseline_correct.shape != candidate_correct.shape:
        raise ValueError(f"shapes {baseline_correct.shape} and {candidate_correct.shape} are not paired")
    only_baseline = int(np.count_nonzero(baseline_correct & ~candidate_correct))
    only_candidate = int(np.count_nonzero(candidate_correct & ~baseline_correct))
    discordant = only_baseline + only_candidate
    if discordant < _EXACT_BELOW:
        tail = binomial_cdf(discordant, 0.5)[min(only_baseline, only_candidate)] if discordant else 1.0
        return McNemar(only_baseline, only_candidate, min(1.0, 2.0 * float(tail)), "exact")
    statistic = (abs(only_baseline - only_candidate) - 1) ** 2 / discordant if only_baseline != only_candidate else 0.0
    p_value = math.erfc(math.sqrt(statistic / 2))  # the upper tail of chi-square with one degree of freedom
    return McNemar(only_baseline, only_candidate, p_value, "chi2")
