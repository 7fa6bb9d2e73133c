"""The record of one arm of a comparison: location, percentiles, throughput and memory, each with its interval. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.timed import OPTIMIZED, Timed
from pipeline.stats.interval import median_interval, t_interval
from pipeline.stats.percentile import Percentile, percentile_of_ordered
from pipeline.stats.quantile import QuantileInterval, clustered_quantile_intervals

__all__ = ["PERCENTILES", "arm_record", "location_interval"]

Floats = NDArray[np.float64]

# Those of MLPerf's rules, and the median. None is invented: each needs its number of samples.
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p99.9": 0.999}
_FROM_ONE = QuantileInterval(None, "all samples are of one process, whose like would differ")


def arm_record(
    timed: Sequence[Timed], arm: int, samples_per_query: int, memory: Mapping[str, Any] | None, no_percentiles: str
) -> dict[str, Any]:
    """Describe one arm: location of undisturbed samples (means of `loops` queries), percentiles of all single queries.

    `no_percentiles` says why the scenario has none, "" if it has.
    """
    samples = np.concatenate([t.service(arm) for t in timed])
    medians = np.array([np.median(t.service(arm)) for t in timed])
    tails = [] if no_percentiles else [t.tail_ns[arm] for t in timed if len(t.tail_ns[arm])]
    tail = np.sort(np.concatenate([*tails, np.empty(0)]))
    none = Percentile(None, no_percentiles)
    percentiles = {name: none if no_percentiles else percentile_of_ordered(tail, p) for name, p in PERCENTILES.items()}
    mean_ns = float(np.mean(samples))
    throughput = samples_per_query / mean_ns * 1e9
    peak = memory or {"peak_rss_bytes": None, "how": "the same stored model as the baseline"}
    is_read = peak["peak_rss_bytes"] is not None
    return {
        "n": len(samples),
        "median_ns": float(np.median(medians)),
        "mean_ns": mean_ns,
        "std_ns": float(np.std(samples, ddof=1)),
        "interval_ns": list(location_interval(medians)),
        "tail_n": len(tail),
        "percentiles": {name: found.value for name, found in percentiles.items()},
        "percentile_reasons": {name: found.reason for name, found in percentiles.items() if found.reason},
        **_percentile_intervals(tails, tail, percentiles),
        "cold_ns": float(np.median([t.cold_ns for t in timed if (t.cold_arm == OPTIMIZED) == (arm == OPTIMIZED)])),
        "throughput_per_s": throughput,
        "throughput_interval_per_s": _throughput_interval(timed, arm, samples_per_query, throughput),
        "peak_rss_bytes": peak["peak_rss_bytes"],
        "peak_rss_method": peak["how"] if is_read else None,
        "peak_rss_reason": None if is_read else peak["how"],
    }


def _percentile_intervals(
    tails: Sequence[Floats], ordered: Floats, percentiles: Mapping[str, Percentile]
) -> dict[str, Any]:
    """Return the 95 % intervals of the percentiles that there are, and why others are None."""
    names = [name for name, one in percentiles.items() if one.value is not None]
    found = dict.fromkeys(names, _FROM_ONE)
    if names and len(tails) > 1:
        intervals = clustered_quantile_intervals(tails, ordered, [PERCENTILES[name] for name in names])
        found = dict(zip(names, intervals, strict=True))
    return {
        "percentile_intervals": {name: list(one.bounds) if one.bounds else None for name, one in found.items()},
        "percentile_interval_reasons": {name: one.reason for name, one in found.items() if one.reason},
    }


def _throughput_interval(timed: Sequence[Timed], arm: int, samples_per_query: int, throughput: float) -> list[float]:
    """Return the 95 % interval of the throughput, from that of each process; never without the estimate."""
    by_process = np.array([samples_per_query / float(np.mean(t.service(arm))) * 1e9 for t in timed])
    low, high = location_interval(by_process)
    return [min(low, throughput), max(high, throughput)]


def location_interval(medians: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the median over processes: by order statistics, or Student's t of logs below six."""
    by_rank = median_interval(medians)
    if by_rank is not None:
        return by_rank
    low, high = np.exp(t_interval(np.log(medians)))
    return float(low), float(high)
