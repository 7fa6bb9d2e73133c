"""The rows of time: what a query takes, and what the scenario asks for, with why a figure of them is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.measure.scenario import SCENARIOS
from pipeline.report.row import Figure, Value, row, value
from pipeline.submission.quantities import MISSING, quantity

__all__ = ["time_notes", "time_rows"]

Document = Mapping[str, Any]
Sides = tuple[Document, Document]

_TONES = {"faster": "good", "slower": "bad"}
_NONE = "latency, percentiles"  # the row that stands for all of them where a scenario has none
_TWO_STREAMS = (
    "below the median, because the two are of different samples: the median is of runs of calls, taken in turns, "
    "without those that were interrupted if enough are left; percentiles are of single queries at another moment. The "
    "machine was restless"
)
_MINOR = ("p95", "p97")  # details, unless the scenario asks for them


def time_rows(comparison: Document, speed: Document, course_speedup: float) -> list[Figure]:
    """Return the rows; the speed-up stands beside the figure that it is of."""
    sides = comparison["arms"]["baseline"], comparison["arms"]["optimized"]
    stem, of = _stem(comparison), _ratio_is_of(comparison)
    ratio = value(speed["speedup"]["estimate"], "ratio", speed["speedup"]["interval"])
    changes = {of: (ratio, _TONES.get(speed["verdict"], ""))}
    median = (value(arm["median_ns"], "ns", arm["interval_ns"]) for arm in sides)
    mean = (Value(quantity(arm["mean_ns"], "ns"), f"± {quantity(arm['std_ns'], 'ns')}") for arm in sides)
    shown = (value(arm["throughput_per_s"], "per_s", _if(of, "throughput", arm)) for arm in sides)
    throughput = _changed(_throughput_name(comparison), shown, changes.get("throughput"))
    return [
        *_served(comparison["server"], changes),
        *([throughput] if of == "throughput" else []),
        *_of_texts(comparison),
        _changed(f"{stem}, median", median, changes.get("median")),
        row(f"{stem}, mean", mean, value(course_speedup, "ratio"), is_detail=True),
        *_percentiles(comparison, sides, changes),
        row(
            f"{stem}, first{'' if stem == 'call' else ' call'}",
            (value(arm["cold_ns"], "ns") for arm in sides),
            is_detail=True,
        ),
        *([throughput] if of != "throughput" else []),
    ]


def time_notes(comparison: Document, side: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each row in which this side's figure is missing, and why."""
    server, reasons = comparison["server"], comparison["arms"][side]["percentile_reasons"]
    if server is not None and (reason := server["arms"][side]["rate_per_s_reason"]):
        yield _rate_name(server), reason  # which is why there are no percentiles either
        return
    if _has_none(comparison):
        yield from ((_NONE, reason) for reason in dict.fromkeys(reasons.values()))
        return
    yield from ((f"{_percentile_stem(comparison)}, {name}", reason) for name, reason in reasons.items())
    if crossed := _crossed(comparison, side):
        yield f"{_percentile_stem(comparison)}, {crossed}", _TWO_STREAMS


def _crossed(comparison: Document, side: str) -> str:
    """Return the least percentile that lies below the median, which is of other samples, "" where none does."""
    arm = comparison["arms"][side]
    found = arm["percentiles"].items()
    below = [name for name, ns in found if ns is not None and float(name[1:]) > 50 and ns < arm["median_ns"]]
    return min(below, key=lambda name: float(name[1:]), default="") if comparison["server"] is None else ""


def _throughput_name(comparison: Document) -> str:
    return "tokens per second" if "generate" in comparison else "throughput"


def _of_texts(comparison: Document) -> Iterator[Figure]:
    """Yield the times to the first token and per token after it, of texts that are continued."""
    found = comparison.get("generate")
    if found is None:
        return
    first = [found["arms"][side] for side in ("baseline", "optimized")]
    ratio = value(found["ttft_speedup"]["estimate"], "ratio", found["ttft_speedup"]["interval"])
    yield row("time to first token", (value(arm["ttft_ns"], "ns", arm["ttft_interval_ns"]) for arm in first), ratio)
    arms, steps = comparison["arms"], found["new_tokens"] - 1
    per_token = (value(arms[side]["median_ns"] / steps, "ns") for side in ("baseline", "optimized"))
    yield row("time per token after it", per_token)


def _stem(comparison: Document) -> str:
    """Return what the median is of: latency of a query, of 8 samples, a pass, a text, or a call without waiting."""
    if "generate" in comparison:
        return f"{comparison['generate']['new_tokens'] - 1:,} tokens"
    samples = comparison["samples_per_query"]
    scenario = comparison["scenario"]
    return {"multi_stream": f"latency of {samples}", "offline": f"pass of {samples:,}", "server": "call"}.get(
        scenario, "latency"
    )


def _percentile_stem(comparison: Document) -> str:
    return _stem(comparison) if comparison["server"] is None else "latency"


def _ratio_is_of(comparison: Document) -> str:
    """Return which row the speed-up belongs to."""
    server = comparison["server"]
    if server is None:
        scenario = SCENARIOS.get(comparison["scenario"])
        return "throughput" if scenario and scenario.headline in ("decode", "throughput") else "median"
    arms = [server["arms"][side] for side in ("baseline", "optimized")]
    if not all(arm["queries"] and arm["rate_per_s"] for arm in arms):
        return "median"
    return "rate" if server["rate_per_s"] is None else "p50"


def _served(server: Document | None, changes: Mapping[str, tuple[Value, str]]) -> Iterator[Figure]:
    if server is None:
        return
    sides = [server["arms"][side] for side in ("baseline", "optimized")]
    limit = quantity(server["latency_limit_ns"], "ns")
    name = _rate_name(server)
    if server["rate_per_s"] is None:
        rates = (value(side["rate_per_s"], "per_s", side["interval"]) for side in sides)
        yield _changed(name, rates, changes.get("rate"))
    else:
        yield row(name, (value(side["achieved_per_s"], "per_s") for side in sides))
    yield row(f"99 % within {limit}", (Value(_status(side) if side["queries"] else MISSING) for side in sides))


def _rate_name(server: Document) -> str:
    if server["rate_per_s"] is None:
        return f"rate, p99 within {quantity(server['latency_limit_ns'], 'ns')}"
    return f"answered of {quantity(server['rate_per_s'], 'per_s')}"


def _status(side: Document) -> str:
    status = {"met": "met", "not_met": "not met", "inconclusive": "inconclusive"}[side["limit_status"]]
    return f"{status}, {side['over_limit']:,} of {side['queries']:,} over"


def _percentiles(comparison: Document, sides: Sides, changes: Mapping[str, tuple[Value, str]]) -> Iterator[Figure]:
    if _has_none(comparison):
        yield row(_NONE, (value(None, "ns"), value(None, "ns")))
        return
    scenario = SCENARIOS.get(comparison["scenario"])
    left_out = {"p50"} if comparison["server"] is None else set()
    is_comparable = comparison["server"] is None or comparison["server"]["rate_per_s"] is not None
    names = {name for arm in sides for name in arm["percentiles"]} - left_out
    for name in sorted(names, key=lambda name: float(name[1:])):
        before, after = (arm["percentiles"].get(name) for arm in sides)
        plain = value(before / after, "ratio") if before and after and is_comparable else Value("")
        shown = (
            value(arm["percentiles"].get(name), "ns", arm.get("percentile_intervals", {}).get(name)) for arm in sides
        )
        change, tone = changes.get(name, (plain, ""))
        is_detail = name in _MINOR and (scenario is None or name != scenario.headline)
        yield row(f"{_percentile_stem(comparison)}, {name}", shown, change, tone=tone, is_detail=is_detail)


def _has_none(comparison: Document) -> bool:
    scenario = SCENARIOS.get(comparison["scenario"])
    return scenario is not None and bool(scenario.no_percentiles)


def _changed(name: str, shown: Iterator[Value], change: tuple[Value, str] | None) -> Figure:
    text, tone = change or (Value(""), "")
    return row(name, shown, text, tone=tone)


def _if(of: str, name: str, arm: Document) -> Sequence[float] | None:
    found: Sequence[float] | None = arm["throughput_interval_per_s"] if of == name else None
    return found
