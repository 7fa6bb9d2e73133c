"""Optimized against baseline in accuracy, speed and size: estimate, interval and verdict of each.

Every verdict is a word from a closed list; a reader never has to interpret a bare p-value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.stats.accuracy import mcnemar
from pipeline.stats.compare import claim_p_value
from pipeline.stats.correction import holm
from pipeline.stats.paired import paired_difference
from pipeline.submission.candidate import Candidate

__all__ = ["ACCURACY_VERDICTS", "SIGNIFICANCE", "SIZE_VERDICTS", "compare_accuracy", "compare_size", "speed_verdicts"]

SIGNIFICANCE = 0.05  # the level of every test here; intervals are at 1 - SIGNIFICANCE
ACCURACY_VERDICTS = ("no significant change", "significantly worse", "significantly better")
SIZE_VERDICTS = ("smaller", "same", "larger")
_CLAIMS = ("faster", "slower")


def compare_accuracy(candidate: Candidate, split: str) -> dict[str, Any]:
    """Return McNemar's test and the interval of the difference on a split, from the answers to the same items."""
    baseline, optimized = candidate.baseline.correct[split], candidate.optimized.correct[split]
    test = mcnemar(baseline, optimized)
    counts = (test.only_baseline, test.only_candidate)
    delta, interval = paired_difference(*counts, len(baseline), 1 - SIGNIFICANCE)
    return {
        "split": split,
        "delta": delta,
        "interval": list(interval),
        "confidence": 1 - SIGNIFICANCE,
        "interval_method": "bonett-price",
        "evaluated": len(baseline),
        "only_baseline_correct": test.only_baseline,
        "only_optimized_correct": test.only_candidate,
        "p_value": test.p_value,
        "test": f"mcnemar {test.method}",
        "verdict": _accuracy_verdict(counts, test.p_value),
    }


def _accuracy_verdict(counts: tuple[int, int], p_value: float) -> str:
    only_baseline, only_optimized = counts
    if p_value >= SIGNIFICANCE:
        return "no significant change"
    return "significantly worse" if only_baseline > only_optimized else "significantly better"


def compare_size(candidate: Candidate) -> dict[str, Any]:
    """Return the ratio of stored bytes; exact, so it has no interval."""
    before, after = candidate.baseline.stored_bytes, candidate.optimized.stored_bytes
    verdict = "smaller" if after < before else "larger" if after > before else "same"
    return {"ratio": before / after, "baseline_bytes": before, "optimized_bytes": after, "verdict": verdict}


def speed_verdicts(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the verdict on each candidate's primary comparison, corrected for having looked at all of them.

    A claim ("faster", "slower") among several is kept only if Holm's adjusted p-value of exceeding the threshold is
    at most SIGNIFICANCE; else it is "inconclusive". A noisy comparison stays noisy, a lone one keeps its verdict.
    """
    speeds = [candidate.speed for candidate in candidates]
    claims = [i for i, speed in enumerate(speeds) if _verdict(speed) in _CLAIMS]
    adjusted: dict[int, float] = {}
    if len(speeds) > 1:
        # Holm over all comparisons that were looked at: those without a claim count with p = 1.
        values = [claim_p_value(speed["speedup"]["per_process"], speed["threshold"]) for speed in speeds]
        values = [value if i in claims else 1.0 for i, value in enumerate(values)]
        adjusted = dict(enumerate(holm(values)))
    return [
        {
            "verdict": "inconclusive" if i in claims and adjusted.get(i, 0.0) > SIGNIFICANCE else _verdict(speed),
            "compared": len(speeds),
            "adjusted_p_value": adjusted.get(i) if i in claims else None,
            "adjusted_p_value_reason": _no_p_value(i in claims, len(speeds)),
        }
        for i, speed in enumerate(speeds)
    ]


def _no_p_value(is_claim: bool, compared: int) -> str | None:
    """Return why a comparison has no adjusted p-value, None if it has one."""
    if not is_claim:
        return "nothing is claimed that could be tested"
    return "a single comparison needs no correction" if compared == 1 else None


def _verdict(speed: Mapping[str, Any]) -> str:
    return "noisy" if speed["noisy"] else str(speed["verdict"])
