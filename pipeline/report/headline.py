"""The figure that a scenario asks for, of both models: p90, p99 of queries of 8 samples, throughput, or the rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.measure.scenario import SCENARIOS
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["Headline", "headline", "scenario_text"]

Document = Mapping[str, Any]

_BY_SECOND = {"decode": "tokens per second", "throughput": "throughput"}


@dataclass(frozen=True)
class Headline:
    """`name` is short; the figures are texts, with their interval if there is one; `reason` says why one is missing."""

    name: str
    baseline: str
    optimized: str
    reason: str = ""


def headline(comparison: Document) -> Headline:
    """Return the headline figures of a comparison."""
    scenario = SCENARIOS.get(comparison["scenario"])
    asked = scenario.headline if scenario else "p90"
    if asked == "rate":
        return _rate(comparison["server"])
    sides = [comparison["arms"][side] for side in ("baseline", "optimized")]
    if asked in _BY_SECOND:
        texts = [with_interval(arm["throughput_per_s"], arm["throughput_interval_per_s"], "per_s") for arm in sides]
        return Headline(_BY_SECOND[asked], texts[0], texts[1])
    texts = [with_interval(arm["percentiles"].get(asked), _interval(arm, asked), "ns") for arm in sides]
    reason = next((arm["percentile_reasons"][asked] for arm in sides if _lacks(arm, asked)), "")
    return Headline(asked, texts[0], texts[1], reason)


def scenario_text(comparison: Document) -> str:
    """Return what was timed, in words: "multi_stream (queries of 8 samples, one after the other), judged by p99"."""
    name, limit = comparison["scenario"], ""
    known = SCENARIOS.get(name)
    if known is None:
        return str(name)
    judged = {"rate": "the highest rate", "decode": "tokens per second after the first"}.get(
        known.headline, known.headline
    )
    if server := comparison["server"]:
        within = quantity(server["latency_limit_ns"], "ns")
        limit = f" with a p99 latency of at most {within}"
        if server["rate_per_s"] is not None:
            judged = f"the latency at {quantity(server['rate_per_s'], 'per_s')}"
            limit = f", of which 99 % should be at most {within}"
    if texts := comparison.get("generate"):
        cache = "without a cache" if texts["kv_cache"] == "none" else f"with a cache of {texts['kv_cache']}"
        what = f"prompts of {texts['prompt_tokens']:,} tokens are continued by {texts['new_tokens']:,}, {cache}"
        return f"{name} ({what}), judged by {judged}"
    passes = f" in passes of {comparison['samples_per_query']:,} samples" if known.is_in_passes else ""
    return f"{name} ({known.summary}{passes}), judged by {judged}{limit}"


def _rate(server: Document) -> Headline:
    sides = [server["arms"][side] for side in ("baseline", "optimized")]
    if server["rate_per_s"] is None:
        texts = [with_interval(side["rate_per_s"], side["interval"], "per_s") for side in sides]
        reason = next((side["rate_per_s_reason"] for side in sides if side["rate_per_s_reason"]), "")
        return Headline("rate", texts[0], texts[1], reason)
    texts = [quantity(side["p99_ns"], "ns") for side in sides]
    reason = next((side["p99_ns_reason"] for side in sides if side["p99_ns_reason"]), "")
    return Headline("p99", texts[0], texts[1], reason)


def _lacks(arm: Document, name: str) -> bool:
    return arm["percentiles"].get(name) is None and name in arm["percentile_reasons"]


def _interval(arm: Document, name: str) -> Sequence[float] | None:
    found: Sequence[float] | None = arm.get("percentile_intervals", {}).get(name)
    return found
