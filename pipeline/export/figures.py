"""The figures of a submission under flat names with their units, as tools that track experiments want them.

One table for all exports, so that a figure has the same name in each. "optimized/" and "baseline/" come before what
was found of one network, "change/" before what compares both. Leaves out nothing that is null: that is in `missing`,
with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Figures", "facts", "figures", "point_figures", "settings"]

Document: TypeAlias = Mapping[str, Any]
Found: TypeAlias = Iterator[tuple[str, float | None, str]]  # name, value, and why there is none

SIDES = ("baseline", "optimized")
_SIZES = ("bits_per_weight", "macs", "nonzero_parameters", "parameters", "weight_bytes", "working_set_bytes")


@dataclass(frozen=True)
class Figures:
    """Numbers by name, and for each that was not measured the reason."""

    values: Mapping[str, float]
    missing: Mapping[str, str]


def figures(submission: Document) -> Figures:
    """Return what was found of the submitted point and its baseline, for a submission of version 2."""
    found = list(_all(submission))
    values = {name: value for name, value, _ in found if value is not None}
    return Figures(values, {name: reason for name, value, reason in found if value is None})


def point_figures(point: Document) -> dict[str, float]:
    """Return what a submission says of one point of a sweep, under the names that `figures` has."""
    accuracy = point["accuracy"]
    found = {
        "optimized/accuracy": accuracy["test"]["accuracy"],
        "optimized/accuracy_validation": accuracy["validation"]["accuracy"],
        "optimized/size_bytes": point["stored_bytes"],
        "optimized/latency_median_ns": point["latency_median_ns"],
        "change/compression": point["compression_ratio"],
        "change/speedup": point["speedup"]["estimate"],
        **_bounds("change/speedup", point["speedup"]["interval"]),
        **_bounds("optimized/accuracy", accuracy["test"]["interval"]),
    }
    return {name: value for name, value in found.items() if value is not None}


def facts(submission: Document) -> dict[str, str]:
    """Return what is known in words: the verdicts, whether goals are met, and what measured what, where."""
    comparisons = submission["comparisons"]
    speed = comparisons["speed"]
    machine, provenance = submission["machine"], submission["provenance"]
    return {
        "verdict.speed": speed["verdict"],
        "verdict.size": comparisons["size"]["verdict"],
        "verdict.accuracy": comparisons["accuracy"]["verdict"],
        "noisy": "yes" if speed["noisy"] else "no",
        "goals": _goals(submission["constraints"]),
        "scenario": speed["scenario"],
        "batch_size": str(speed["batch_size"]),
        "threads": str(speed["threads"]),
        "measured_at": submission["measurement"]["measured_at"],
        "protocol": submission["measurement"]["protocol"],
        "measurement": submission["measurement"]["status"],
        "cpu": machine["cpu"],
        "kernels": provenance["versions"].get("kernels", "unknown"),
        "python": provenance["versions"]["python"],
        "numpy": provenance["versions"]["numpy"],
        "package": provenance["versions"]["package"],
        "data": f"{provenance['data']['name']}@{provenance['data']['digest'][:12]}",
        "weights.optimized": provenance["weights"]["optimized"],
        "weights.baseline": provenance["weights"]["baseline"],
        "experiment": provenance["experiment"],
        "command": provenance["command"],
    }


def settings(submission: Document) -> dict[str, str]:
    """Return every setting of the experiment as text under its path ("optimize.0.prune.sparsity"), then the point's."""
    document = submission["experiment"]["document"]
    chosen = submission["selection"]["points"][submission["selection"]["chosen"]]
    point = {f"point.{name}": _text(value) for name, value in chosen["point"].items()}
    return {**dict(_flat("", document)), **point, "point.seed": str(chosen["seed"])}


def _all(submission: Document) -> Found:
    for side in SIDES:
        yield from _accuracy(side, submission["accuracy"][side])
        size = submission["size"][side]
        yield f"{side}/size_bytes", size["stored_bytes"], ""
        yield from ((f"{side}/{name}", size[name], "") for name in _SIZES)
        comparison = submission["benchmark"]["comparisons"][0]
        yield from _arm(side, comparison["arms"][side])
        if "generate" in comparison:
            first = comparison["generate"]["arms"][side]
            yield f"{side}/ttft_ns", first["ttft_ns"], ""
            yield from _interval(f"{side}/ttft_ns", first["ttft_interval_ns"])
    yield from _change(submission)


def _accuracy(side: str, record: Document) -> Found:
    yield f"{side}/accuracy_validation", record["validation"]["accuracy"], ""
    yield f"{side}/accuracy", record["test"]["accuracy"], ""
    yield from _interval(f"{side}/accuracy", record["test"]["interval"])


def _arm(side: str, arm: Document) -> Found:
    yield f"{side}/latency_median_ns", arm["median_ns"], ""
    yield from _interval(f"{side}/latency_median_ns", arm["interval_ns"])
    for name, value in arm["percentiles"].items():
        tail = name.replace(".", "_")  # p99.9
        yield f"{side}/latency_{tail}_ns", value, arm["percentile_reasons"].get(name, "too few samples")
    yield f"{side}/latency_first_call_ns", arm["cold_ns"], ""
    yield f"{side}/throughput_per_s", arm["throughput_per_s"], ""
    yield from _interval(f"{side}/throughput_per_s", arm["throughput_interval_per_s"])
    yield f"{side}/peak_memory_bytes", arm["peak_rss_bytes"], arm["peak_rss_reason"] or ""
    for key, value in arm.get("quantities", {}).items():
        yield f"{side}/{key}", value, arm["quantity_reasons"].get(key, "not measured")


def _change(submission: Document) -> Found:
    comparisons = submission["comparisons"]
    speed, accuracy = comparisons["speed"], comparisons["accuracy"]
    yield "change/speedup", speed["speedup"]["estimate"], ""
    yield from _interval("change/speedup", speed["speedup"]["interval"])
    yield "change/control", speed["control"]["estimate"], ""
    yield from _interval("change/control", speed["control"]["interval"])
    yield "change/compression", comparisons["size"]["ratio"], ""
    yield "change/accuracy_delta", accuracy["delta"], ""
    yield from _interval("change/accuracy_delta", accuracy["interval"])
    yield "change/accuracy_p_value", accuracy["p_value"], ""
    yield "change/pairs", speed["pairs"], ""
    yield "change/processes", speed["processes"], ""
    yield "change/points_tried", submission["selection"]["tried"], ""


def _interval(name: str, interval: Sequence[float] | None) -> Found:
    yield from ((bound, value, "") for bound, value in _bounds(name, interval).items())


def _bounds(name: str, interval: Sequence[float] | None) -> dict[str, float]:
    return {} if interval is None else {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _goals(constraints: Sequence[Document]) -> str:
    if not constraints:
        return "none"
    counted = dict.fromkeys(("met", "not_met", "inconclusive"), 0)
    for constraint in constraints:
        counted[constraint["status"]] = counted.get(constraint["status"], 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counted.items() if count)


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every leaf with its path; a list of plain values is one."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), item)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from _flat(f"{path}.{place}", item)
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
