"""The metrics that goals may name: where each is read, its unit and its interval.

A metric's name here is its name in experiment files, in submissions and in reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.submission.candidate import Candidate

__all__ = ["METRICS", "Measured", "Metric", "measured_drop", "measured_increase"]


@dataclass(frozen=True)
class Measured:
    """A figure with the bounds of its interval, equal to it where it is exact.

    `doubt` says why nothing may be claimed from the figure, although it exists; "" if it may.
    """

    estimate: float
    low: float
    high: float
    doubt: str = ""


@dataclass(frozen=True)
class Metric:
    """One line of METRICS: `read` takes a candidate and a split.

    `kind` is speed, size or accuracy: what is read on a split, and decided on the test split.
    """

    name: str
    kind: str
    unit: str
    read: Callable[[Candidate, str], Measured]


def measured_drop(comparison: Mapping[str, Any]) -> Measured:
    """Return the loss of accuracy, baseline minus optimized, from a comparison made by `compare_accuracy`."""
    low, high = comparison["interval"]
    return Measured(0.0 - comparison["delta"], 0.0 - high, 0.0 - low)


def _accuracy(candidate: Candidate, split: str) -> Measured:
    record = candidate.optimized.accuracy(split)
    low, high = record["interval"]
    return Measured(record["accuracy"], low, high)


_NO_GENERATION = Measured(0.0, 0.0, 0.0, "no text was continued: benchmark.scenario is not generate")
_NO_TEXT = Measured(0.0, 0.0, 0.0, "there is no perplexity: the data is no text")


def measured_increase(language: Mapping[str, Any] | None, split: str) -> Measured:
    """Return by which share the perplexity grew, from a section made by `language_section`."""
    if language is None:
        return _NO_TEXT
    change = language["change"][split]
    low, high = change["interval"]
    return Measured(change["ratio"] - 1, low - 1, high - 1)


def _perplexity(candidate: Candidate, split: str) -> Measured:
    if candidate.language is None:
        return _NO_TEXT
    record = candidate.language["optimized"][split]
    low, high = record["interval"]
    return Measured(record["perplexity"], low, high)


def _speedup(candidate: Candidate, split: str) -> Measured:
    record = candidate.speed["speedup"]
    low, high = record["interval"]
    return Measured(record["estimate"], low, high, _noise(candidate))


def _latency_ms(candidate: Candidate, split: str) -> Measured:
    arm = candidate.speed["arms"]["optimized"]
    scale = 1e6 * candidate.calls_per_query
    low, high = arm["interval_ns"]
    return Measured(arm["median_ns"] / scale, low / scale, high / scale, _noise(candidate))


def _highest_rate(candidate: Candidate, served: Mapping[str, Any]) -> Measured:
    """Return a server's rate; one that does not exist is 0, from which nothing may be claimed."""
    if served["rate_per_s"] is None:
        return Measured(0.0, 0.0, 0.0, f"there is no rate: {served['rate_per_s_reason']}")
    low, high = served["interval"] or (served["rate_per_s"], served["rate_per_s"])
    return Measured(served["rate_per_s"], low, high, _noise(candidate))


def _throughput(candidate: Candidate, split: str) -> Measured:
    served = candidate.speed["server"]
    if served is not None and served["rate_per_s"] is None:
        return _highest_rate(candidate, served["arms"]["optimized"])
    arm = candidate.speed["arms"]["optimized"]
    low, high = arm["throughput_interval_per_s"]
    return Measured(arm["throughput_per_s"], low, high, _noise(candidate))


def _tokens_per_second(candidate: Candidate, split: str) -> Measured:
    return _throughput(candidate, split) if "generate" in candidate.speed else _NO_GENERATION


def _ttft_ms(candidate: Candidate, split: str) -> Measured:
    if "generate" not in candidate.speed:
        return _NO_GENERATION
    arm = candidate.speed["generate"]["arms"]["optimized"]
    low, high = arm["ttft_interval_ns"]
    return Measured(arm["ttft_ns"] / 1e6, low / 1e6, high / 1e6, _noise(candidate))


def _compression(candidate: Candidate, split: str) -> Measured:
    return _exact(candidate.compression_ratio)


def _size_bytes(candidate: Candidate, split: str) -> Measured:
    return _exact(candidate.optimized.stored_bytes)


def _exact(value: float) -> Measured:
    return Measured(value, value, value)


def _noise(candidate: Candidate) -> str:
    return "the comparison is noisy: nothing may be claimed from it" if candidate.speed["noisy"] else ""


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", "share", _accuracy),
        Metric("compression", "size", "ratio", _compression),
        Metric("latency_ms", "speed", "ms", _latency_ms),
        Metric("perplexity", "accuracy", "perplexity", _perplexity),
        Metric("size_bytes", "size", "B", _size_bytes),
        Metric("speedup", "speed", "ratio", _speedup),
        Metric("throughput", "speed", "per_s", _throughput),
        Metric("tokens_per_second", "speed", "per_s", _tokens_per_second),
        Metric("ttft_ms", "speed", "ms", _ttft_ms),
    )
}
