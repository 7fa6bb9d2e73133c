"""The rows of the baseline/optimized/change table, with a note for every figure that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["Figure", "Note", "Value", "course_figures", "figures"]

Document = Mapping[str, Any]
_MIB = 1024 * 1024
# unit, and what less and more of it is called
_BYTES = ("B", "smaller", "larger")
_COUNT = ("count", "fewer", "more")
# quantity -> its row: name, unit, what less and more of it is called, whether it is a detail
_QUANTITIES = {
    "energy_j": ("energy per query", ("J", "less", "more"), False),
    "instructions": ("instructions per query", _COUNT, True),
    "cycles": ("cycles per query", _COUNT, True),
    "frequency_hz": ("clock", ("Hz", "lower", "higher"), True),
}
_TONES = {"faster": "good", "significantly better": "good", "slower": "bad", "significantly worse": "bad"}


@dataclass(frozen=True)
class Value:
    """A figure as text, and the bounds of its interval, "" where there is none."""

    text: str
    bounds: str = ""

    @property
    def full(self) -> str:
        """The figure with its interval: "97.8 % [95.7, 98.9]"."""
        return f"{self.text} {self.bounds}".rstrip()


@dataclass(frozen=True)
class Figure:
    """One row; `tone` (good, bad or "") is that of the change, and details are for the long reports only."""

    name: str
    baseline: Value
    optimized: Value
    change: Value = Value("")
    tone: str = ""
    is_detail: bool = False


@dataclass(frozen=True)
class Note:
    """Why a figure is missing: the name of its row, the side (baseline, optimized, or "" for both) and the reason."""

    name: str
    side: str
    reason: str

    @property
    def text(self) -> str:
        """The note as a line below the table."""
        return f"{MISSING} {self.name}{', ' if self.side else ''}{self.side}: {self.reason}"


def figures(submission: Document) -> tuple[tuple[Figure, ...], tuple[Note, ...]]:
    """Return the rows for a submission of version 2, and why each missing figure is missing."""
    arms = submission["benchmark"]["comparisons"][0]["arms"]
    sides = arms["baseline"], arms["optimized"]
    rows = [*_accuracy(submission), *_size(submission), *_latency(submission, sides), *_work(submission, sides)]
    return tuple(rows), _notes(arms)


def course_figures(submission: Document) -> tuple[Figure, ...]:
    """Return the rows for a submission of version 1, with or without an optimized model."""
    baseline = submission["baseline"]["metrics"]
    optimized = submission.get("optimized", {}).get("metrics", {})
    better = submission.get("improvements", {})
    rows = (
        ("accuracy", "accuracy", 1.0, "share", ("accuracy_delta", "points")),
        ("size", "model_size_mb", _MIB, "B", ("compression_ratio", "ratio")),
        ("latency, mean", "latency_ms_mean", 1.0, "ms", ("speedup", "ratio")),
        ("latency, std", "latency_ms_std", 1.0, "ms", None),
        ("throughput", "throughput_samples_per_sec", 1.0, "per_s", None),
        ("parameters", "parameter_count", 1.0, "count", None),
    )
    return tuple(
        _row(
            name,
            (Value(quantity(side[key] * scale if key in side else None, unit)) for side in (baseline, optimized)),
            Value(quantity(better[change[0]], change[1]) if change and change[0] in better else ""),
        )
        for name, key, scale, unit, change in rows
    )


def _row(
    name: str, sides: Iterable[Value], change: Value = Value(""), *, tone: str = "", is_detail: bool = False
) -> Figure:
    baseline, optimized = sides
    return Figure(name, baseline, optimized, change, tone, is_detail)


def _value(value: float | None, unit: str, interval: Sequence[float] | None = None) -> Value:
    text = quantity(value, unit)
    return Value(text, with_interval(value, interval, unit).removeprefix(text).lstrip())


def _accuracy(submission: Document) -> list[Figure]:
    records, comparison = submission["accuracy"], submission["comparisons"]["accuracy"]
    rates = {
        split: [_value(record["accuracy"], "share", record["interval"]) for record in _both(records, split)]
        for split in ("test", "validation")
    }
    before, after = (record["accuracy"] for record in _both(records, "validation"))
    delta = _value(comparison["delta"], "points", comparison["interval"])
    return [
        _row("accuracy (test)", rates["test"], delta, tone=_TONES.get(comparison["verdict"], "")),
        _row("accuracy (validation)", rates["validation"], _value(after - before, "points"), is_detail=True),
    ]


def _both(records: Document, key: str) -> tuple[Any, Any]:
    return records["baseline"][key], records["optimized"][key]


def _size(submission: Document) -> list[Figure]:
    sizes = submission["size"]["baseline"], submission["size"]["optimized"]
    tone = {"smaller": "good", "larger": "bad", "same": ""}[submission["comparisons"]["size"]["verdict"]]
    bits = (Value(f"{record['bits_per_weight']:.3g} bits") for record in sizes)
    return [
        _counted("stored size", sizes, "stored_bytes", _BYTES, tone=tone),
        _row("per weight", bits, is_detail=True),
    ]


def _latency(submission: Document, sides: tuple[Document, Document]) -> list[Figure]:
    speed = submission["comparisons"]["speed"]
    ratio = _value(speed["speedup"]["estimate"], "ratio", speed["speedup"]["interval"])
    median = (_value(arm["median_ns"], "ns", arm["interval_ns"]) for arm in sides)
    mean = (Value(f"{quantity(arm['mean_ns'], 'ns')} ± {quantity(arm['std_ns'], 'ns')}") for arm in sides)
    course = _value(submission["improvements"]["speedup"], "ratio")
    names = sorted({name for arm in sides for name in arm["percentiles"]} - {"p50"}, key=lambda name: float(name[1:]))
    return [
        _row("latency, median", median, ratio, tone=_TONES.get(speed["verdict"], "")),
        _row("latency, mean", mean, course, is_detail=True),
        *(_percentile(name, sides) for name in names),
        _row("latency, first call", (_value(arm["cold_ns"], "ns") for arm in sides), is_detail=True),
        _row("throughput", (_value(arm["throughput_per_s"], "per_s") for arm in sides)),
    ]


def _percentile(name: str, sides: tuple[Document, Document]) -> Figure:
    before, after = (arm["percentiles"].get(name) for arm in sides)
    change = _value(before / after, "ratio") if before and after else Value("")
    shown = (_value(arm["percentiles"].get(name), "ns", arm.get("percentile_intervals", {}).get(name)) for arm in sides)
    return _row(f"latency, {name}", shown, change)


def _work(submission: Document, sides: tuple[Document, Document]) -> list[Figure]:
    sizes = submission["size"]["baseline"], submission["size"]["optimized"]
    return [
        _counted("parameters", sizes, "parameters", _COUNT),
        _counted("non-zero", sizes, "nonzero_parameters", _COUNT, is_detail=True),
        _counted("work (MACs)", sizes, "macs", _COUNT),
        _counted("working set", sizes, "working_set_bytes", _BYTES, is_detail=True),
        _counted("peak memory", sides, "peak_rss_bytes", _BYTES, is_detail=True),
        *_quantities(sides),
    ]


def _quantities(sides: tuple[Document, Document]) -> Iterable[Figure]:
    """Return a row for each quantity that was counted of either side; the notes say why others were not."""
    before, after = (arm.get("quantities", {}) for arm in sides)
    for key, (name, words, is_detail) in _QUANTITIES.items():
        if before.get(key) is not None or after.get(key) is not None:
            yield _counted(name, ({key: before.get(key)}, {key: after.get(key)}), key, words, is_detail=is_detail)


def _counted(
    name: str,
    sides: tuple[Document, Document],
    key: str,
    words: tuple[str, str, str],
    *,
    tone: str = "",
    is_detail: bool = False,
) -> Figure:
    """Return a row of exact counts; `words` are the unit and what less and more of it is called."""
    before, after = sides[0][key], sides[1][key]
    unit, less, more = words
    change = ""
    if before and after:
        ratio = quantity(max(before, after) / min(before, after), "ratio")
        change = "same" if before == after else f"{ratio} {less if after < before else more}"
    return Figure(name, _value(before, unit), _value(after, unit), Value(change), tone, is_detail)


def _notes(arms: Document) -> tuple[Note, ...]:
    """Return one note for every missing figure; the same reason for both sides is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for side in ("baseline", "optimized"):
        reasons = {f"latency, {name}": reason for name, reason in arms[side]["percentile_reasons"].items()}
        if arms[side]["peak_rss_reason"]:
            reasons["peak memory"] = arms[side]["peak_rss_reason"]
        for key, reason in arms[side].get("quantity_reasons", {}).items():
            reasons[_QUANTITIES[key][0]] = reason
        for name, reason in reasons.items():
            found.setdefault((name, reason), []).append(side)
    return tuple(Note(name, sides[0] if len(sides) == 1 else "", reason) for (name, reason), sides in found.items())
