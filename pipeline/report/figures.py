"""The rows of the baseline/optimized/change table, with a note for every figure that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.report.execution import execution_rows
from pipeline.report.language import perplexity_rows
from pipeline.report.row import Figure, Note, Value, row, value
from pipeline.report.timing import time_notes, time_rows
from pipeline.submission.quantities import quantity

__all__ = ["course_figures", "figures"]

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
_TONES = {"significantly better": "good", "significantly worse": "bad"}


def figures(submission: Document) -> tuple[tuple[Figure, ...], tuple[Note, ...]]:
    """Return the rows for a submission of version 2, and why each missing figure is missing."""
    comparison = submission["benchmark"]["comparisons"][0]
    sides = comparison["arms"]["baseline"], comparison["arms"]["optimized"]
    times = time_rows(comparison, submission["comparisons"]["speed"], submission["improvements"]["speedup"])
    told = perplexity_rows(submission["language"]) if "language" in submission else ()
    rows = [*_accuracy(submission), *told, *_custom(submission), *_size(submission), *times, *_work(submission, sides)]
    return tuple(rows), _notes(comparison)


def course_figures(submission: Document) -> tuple[Figure, ...]:
    """Return the rows for a submission of version 1, or made of one, with or without an optimized model."""
    baseline = submission["baseline"]["metrics"]
    optimized = (submission.get("optimized") or {}).get("metrics", {})
    better = submission.get("improvements") or {}
    rows = (
        ("accuracy", "accuracy", 1.0, "share", ("accuracy_delta", "points")),
        ("size", "model_size_mb", _MIB, "B", ("compression_ratio", "ratio")),
        ("latency, mean", "latency_ms_mean", 1.0, "ms", ("speedup", "ratio")),
        ("latency, std", "latency_ms_std", 1.0, "ms", None),
        ("throughput", "throughput_samples_per_sec", 1.0, "per_s", None),
        ("parameters", "parameter_count", 1.0, "count", None),
    )
    return tuple(
        row(
            name,
            (Value(quantity(side[key] * scale if key in side else None, unit)) for side in (baseline, optimized)),
            Value(quantity(better[change[0]], change[1]) if change and change[0] in better else ""),
        )
        for name, key, scale, unit, change in rows
    )


def _accuracy(submission: Document) -> list[Figure]:
    records, comparison = submission["accuracy"], submission["comparisons"]["accuracy"]
    rates = {
        split: [value(record["accuracy"], "share", record["interval"]) for record in _both(records, split)]
        for split in ("test", "validation")
    }
    before, after = (record["accuracy"] for record in _both(records, "validation"))
    delta = value(comparison["delta"], "points", comparison["interval"])
    return [
        row("accuracy (test)", rates["test"], delta, tone=_TONES.get(comparison["verdict"], "")),
        row("accuracy (validation)", rates["validation"], value(after - before, "points"), is_detail=True),
    ]


def _custom(submission: Document) -> Iterable[Figure]:
    """Return a row for each metric of the user's own, on the test split."""
    for name, sides in submission.get("custom_metrics", {}).items():
        before, after = (sides[side]["test"] for side in ("baseline", "optimized"))
        change = Value(f"{after - before:+.4g}" if after != before else "same")
        yield row(f"{name} (test)", (Value(f"{before:.4g}"), Value(f"{after:.4g}")), change)


def _both(records: Document, key: str) -> tuple[Any, Any]:
    return records["baseline"][key], records["optimized"][key]


def _size(submission: Document) -> list[Figure]:
    sizes = submission["size"]["baseline"], submission["size"]["optimized"]
    tone = {"smaller": "good", "larger": "bad", "same": ""}[submission["comparisons"]["size"]["verdict"]]
    bits = (Value(f"{record['bits_per_weight']:.3g} bits") for record in sizes)
    return [
        _counted("stored size", sizes, "stored_bytes", _BYTES, tone=tone),
        row("per weight", bits, is_detail=True),
    ]


def _work(submission: Document, sides: tuple[Document, Document]) -> list[Figure]:
    sizes = submission["size"]["baseline"], submission["size"]["optimized"]
    executed = execution_rows(sides) or [_counted("working set", sizes, "working_set_bytes", _BYTES, is_detail=True)]
    return [
        _counted("parameters", sizes, "parameters", _COUNT),
        _counted("non-zero", sizes, "nonzero_parameters", _COUNT, is_detail=True),
        _counted("work (MACs)", sizes, "macs", _COUNT),
        *executed,
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
    return Figure(name, value(before, unit), value(after, unit), Value(change), tone, is_detail)


def _notes(comparison: Document) -> tuple[Note, ...]:
    """Return a note for every missing figure, and for kernels; the same reason for both sides is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for side in ("baseline", "optimized"):
        arm, reasons = comparison["arms"][side], dict(time_notes(comparison, side))
        if arm["peak_rss_reason"]:
            reasons["peak memory"] = arm["peak_rss_reason"]
        if reason := (arm.get("session") or {}).get("reference_reason"):
            reasons["kernels"] = f"NumPy, the reference: {reason}"
        for key, reason in arm.get("quantity_reasons", {}).items():
            reasons[_QUANTITIES[key][0]] = reason
        for name, reason in reasons.items():
            found.setdefault((name, reason), []).append(side)
    return tuple(Note(name, sides[0] if len(sides) == 1 else "", reason) for (name, reason), sides in found.items())
