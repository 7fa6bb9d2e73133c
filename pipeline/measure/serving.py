"""The scenario server, parent's side: what its processes are asked, and what their trials say of each arm. Pure.

The ratio of two arms is that of their highest rates, or of their median latencies at a rate that is given, in each
process: both arms of a process met the same arrivals. Of latencies the median is compared, not a percentile of the
tail, because few queries make a tail and a pause of the host makes most of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.measure.arm import location_interval
from pipeline.measure.job import ARMS
from pipeline.measure.timed import BASELINE
from pipeline.stats.compare import Ratio, ratio
from pipeline.stats.percentile import CONFIDENCE, limit_status, minimum_passing, percentile

__all__ = ["PERCENTILE", "about_the_rates", "options", "rate_ratio", "server_record"]

Process = Mapping[str, Any]

PERCENTILE = 0.99  # that the limit is for: MLPerf's
_MOST_OVER = 300  # beyond what the longest trial tolerates
_OTHERWISE_S = 1.2  # of a process: to start, to load the models, and for the calls that are timed apart
_LEAST_PROCESSES = 3  # as `sampling` has it: they run even beyond the budget
_MANY_LIMITS = 5  # a trial this much longer than the limit shows a queue that grows
_OVERLOAD = 0.95  # of the arrivals that are answered in time when a rate is kept up with


def options(limit_ms: float, rate_per_s: float | None, budget_s: float, processes: int) -> dict[str, Any]:
    """Return the options of a job of kind "server", which the worker reads as `pipeline.measure.server.Demand`."""
    share_s = budget_s / processes
    return {
        "limit_ns": limit_ms * 1e6,
        "needed": [minimum_passing(over, PERCENTILE) + over for over in range(_MOST_OVER)],
        "seconds": max(share_s - _OTHERWISE_S, share_s / 4),
        "most_s": budget_s / min(_LEAST_PROCESSES, processes),
        "rate_per_s": rate_per_s,
    }


def rate_ratio(processes: Sequence[Process], other: int, is_given: bool, seed: int) -> Ratio | None:
    """Return the other arm's rates over the baseline's, or at a given rate the baseline's median latency over its.

    None unless two processes have both, and more than half of them.
    """
    cost = _median_latency if is_given else _time_per_query
    costs = [(cost(process, ARMS[BASELINE]), cost(process, ARMS[other])) for process in processes]
    both = [(before, after) for before, after in costs if before is not None and after is not None]
    if len(both) < 2 or len(both) <= len(processes) / 2:
        return None
    before, after = ([np.array([pair[side]]) for pair in both] for side in (0, 1))
    how = "median latencies at the given rate" if is_given else "highest rates"
    method = f"ratio of {how} by process, median over processes; hull of t over processes and bootstrap of processes"
    return replace(ratio(before, after, seed), method=method)


def _time_per_query(process: Process, arm: str) -> float | None:
    rate = process["server"]["arms"][arm]["rate_per_s"]
    return 1.0 / rate if rate else None


def _median_latency(process: Process, arm: str) -> float | None:
    latencies = process["server"]["arms"][arm]["latency_ns"]
    return float(np.median(latencies)) if latencies else None


def server_record(limit_ms: float, rate_per_s: float | None, processes: Sequence[Process]) -> dict[str, Any]:
    """Return what a comparison's record says of the scenario server."""
    return {
        "latency_limit_ns": limit_ms * 1e6,
        "rate_per_s": rate_per_s,
        "percentile": PERCENTILE,
        "confidence": CONFIDENCE,
        "queries_per_trial": [process["server"]["queries"] for process in processes],
        "arms": {arm: _arm(arm, limit_ms * 1e6, processes) for arm in ARMS},
    }


def _arm(arm: str, limit_ns: float, processes: Sequence[Process]) -> dict[str, Any]:
    """Describe one arm by the trials at its rate, those of all processes together."""
    found = [process["server"]["arms"][arm] for process in processes]
    rates = [one["rate_per_s"] for one in found]
    known = np.array([rate for rate in rates if rate is not None], dtype=np.float64)
    has_rate = len(known) > len(rates) / 2
    latency = np.concatenate([np.array(one["latency_ns"] if has_rate else [], dtype=np.float64) for one in found])
    over = int(np.count_nonzero(latency > limit_ns))
    tail = percentile(latency, PERCENTILE)
    served_s = sum(one["served_ns"] for one in found) / 1e9
    return {
        "rate_per_s": float(np.median(known)) if has_rate else None,
        "interval": list(location_interval(known)) if has_rate and len(known) > 1 else None,
        "per_process": rates,
        "rate_per_s_reason": None if has_rate else _reason(found),
        "p99_ns": tail.value,
        "p99_ns_reason": tail.reason,
        "queries": len(latency),
        "over_limit": over,
        "limit_status": limit_status(len(latency), over, PERCENTILE),
        "achieved_per_s": len(latency) / served_s if len(latency) else None,
        "most_per_s": float(np.median([one["most_per_s"] for one in found])),
        "trials": sum(one["trials"] for one in found),
    }


def _reason(found: Sequence[Mapping[str, Any]]) -> str:
    reasons = [one["reason"] for one in found if one["reason"]]
    return f"in {len(reasons)} of {len(found)} processes there is no rate; in the first, {reasons[0]}"


def about_the_rates(record: Mapping[str, Any], has_ratio: bool) -> list[str]:
    """Return what a reader has to know of the rates: arms without one, trials that prove little, overload."""
    arms: Mapping[str, Mapping[str, Any]] = record["arms"]
    found = [f"{arm}: {one['rate_per_s_reason']}" for arm, one in arms.items() if one["rate_per_s_reason"]]
    for arm, one in arms.items():
        without, count = one["per_process"].count(None), len(one["per_process"])
        if without and one["rate_per_s"] is not None:
            found.append(f"{arm}: {without} of {count} processes found no rate and do not count")
    if not has_ratio:
        found.append("without the rates of both models the speed-up is that of calls one after the other")
    given = record["rate_per_s"]
    return [*found, *(_about_short_trials(record) if given is None else _about_overload(arms, given))]


def _about_short_trials(record: Mapping[str, Any]) -> list[str]:
    rates = [one["rate_per_s"] for one in record["arms"].values() if one["rate_per_s"]]
    limit_s = record["latency_limit_ns"] / 1e9
    trial_s = max(record["queries_per_trial"]) / max(rates, default=1.0)
    if not rates or trial_s >= _MANY_LIMITS * limit_s:
        return []
    return [
        f"a trial lasts {trial_s:.2g} s, little beside the limit of {limit_s:.2g} s: the rates are near what the "
        "models can process, whatever the limit"
    ]


def _about_overload(arms: Mapping[str, Mapping[str, Any]], rate: float) -> list[str]:
    return [
        f"{arm}: {one['achieved_per_s']:.4g} of {rate:.4g} queries/s were answered: latencies grow as long as a trial "
        "lasts, so that their ratio is no property of the models"
        for arm, one in arms.items()
        if one["achieved_per_s"] and one["achieved_per_s"] < _OVERLOAD * rate
    ]
