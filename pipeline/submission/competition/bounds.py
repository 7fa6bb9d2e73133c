"""How sure a submission is of its figures: which interval belongs to which figure, and what may not be claimed.

A table of places, so that a limit on any figure is decided at the bound of the interval that stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pipeline.submission.competition.limits import Place, look_up, place_of

__all__ = ["Bounds", "UNSURE", "bounds_of", "doubt_of", "is_timed", "is_unsure"]

_NS_PER_MS = 1e6

# the last key of a figure's place -> the key of its interval beside it
_BESIDE = {
    "accuracy": "interval",
    "delta": "interval",
    "estimate": "interval",
    "median_ns": "interval_ns",
    "rate_per_s": "interval",
    "throughput_per_s": "throughput_interval_per_s",
}
# figures that are measured but have no interval -> which to limit instead
UNSURE: dict[Place, str] = {
    place_of("improvements.speedup"): "comparisons.speed.speedup.estimate",
    **{
        place_of(f"{side}.metrics.{name}"): f"{side}.metrics.latency_ms_median"
        for side in ("baseline", "optimized")
        for name in ("latency_ms_mean", "latency_ms_std")
    },
}
_UNSURE_KEYS = {
    (key,) for key in ("achieved_per_s", "cold_ns", "latency_median_ns", "mean_ns", "p99_ns", "std_ns", "time_ns")
}
_COUNTS = {
    (key,)
    for key in (
        *("batch_size", "compared", "dropped", "loops", "n", "pairs", "processes", "samples_per_query", "tail_n"),
        *("threads", "threshold"),
    )
}


class Bounds(NamedTuple):
    """The least and the greatest value that a figure may have."""

    low: float
    high: float


def bounds_of(document: Mapping[str, Any], place: Place) -> Bounds | None:
    """Return the interval of the figure at a place, which contains the figure itself; None where it has none.

    Raises KeyError, IndexError or TypeError for what is no valid submission.
    """
    interval = _interval(document, place)
    if interval is None:
        return None
    figure = look_up(document, place)
    return Bounds(min(interval[0], figure), max(interval[1], figure))


def _interval(document: Mapping[str, Any], place: Place) -> list[float] | None:
    found: Any = None
    if place in _COURSE:
        found = _COURSE[place](document)
    elif place[-2:-1] == ("percentiles",):
        found = look_up(document, (*place[:-2], "percentile_intervals", place[-1]))
    elif place[-1] in _BESIDE:
        found = look_up(document, (*place[:-1], _BESIDE[str(place[-1])]))
    return found if isinstance(found, list) else None


def doubt_of(document: Mapping[str, Any], place: Place) -> str:
    """Return why nothing may be claimed from a figure without an interval, or measured amid noise; "" if it may."""
    if is_timed(place) and _is_noisy(document, place):
        return "the comparison is noisy: nothing may be claimed from it"
    if is_unsure(place):
        return "it was measured and has no interval"
    if place[-2:-1] == ("percentiles",) and bounds_of(document, place) is None:
        return "it has no interval: too few samples are independent"
    return ""


def is_unsure(place: Place) -> bool:
    """Say whether a figure is measured but has no interval."""
    return place in UNSURE or place[-1:] in _UNSURE_KEYS


def is_timed(place: Place) -> bool:
    """Say whether a figure comes from durations, which depend on the machine; counts and settings do not."""
    timed = place[:1] == ("benchmark",) or place[:2] == ("comparisons", "speed") or place in _TIMED
    return timed and place[-1:] not in _COUNTS


def _is_noisy(document: Mapping[str, Any], place: Place) -> bool:
    if place[:2] == ("benchmark", "comparisons") and len(place) > 3:
        return bool(look_up(document, (*place[:3], "noisy")))
    return bool(document["comparisons"]["speed"]["noisy"] or document["measurement"]["noisy"])


def _accuracy(side: str) -> Callable[[Mapping[str, Any]], list[float]]:
    return lambda document: document["accuracy"][side]["test"]["interval"]


def _arm(side: str, name: str, per_call_ms: bool) -> Callable[[Mapping[str, Any]], list[float]]:
    def read(document: Mapping[str, Any]) -> list[float]:
        primary = document["benchmark"]["comparisons"][0]
        calls = -(-primary["samples_per_query"] // primary["batch_size"])
        scale = _NS_PER_MS * calls if per_call_ms else 1.0
        return [bound / scale for bound in primary["arms"][side][name]]

    return read


# the course's figures, whose intervals stand elsewhere
_COURSE: dict[Place, Callable[[Mapping[str, Any]], list[float]]] = {
    place_of("improvements.accuracy_delta"): lambda document: document["comparisons"]["accuracy"]["interval"],
}
for _side in ("baseline", "optimized"):
    _metrics = (_side, "metrics")
    _COURSE[(*_metrics, "accuracy")] = _accuracy(_side)
    _COURSE[(*_metrics, "latency_ms_median")] = _arm(_side, "interval_ns", per_call_ms=True)
    _COURSE[(*_metrics, "throughput_samples_per_sec")] = _arm(_side, "throughput_interval_per_s", per_call_ms=False)
_TIMED = {place for place in (*_COURSE, *UNSURE) if "accuracy" not in str(place[-1])}
