"""Figures as people read them: shares in percent, bytes in KiB, durations in µs, ratios as 1.53x.

Every text about a result (reasons of a goal's status, terminal, Markdown, HTML) writes its numbers with these
functions, so that one figure looks the same everywhere. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = [
    "FORMATS",
    "MISSING",
    "bytes_text",
    "count_text",
    "duration_text",
    "interval_text",
    "p_value_text",
    "points_text",
    "rate_text",
    "ratio_text",
    "share_text",
]

MISSING = "–"  # a figure that is null; its reason stands below the table
_DURATIONS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def share_text(share: float) -> str:
    """Return a share from 0 to 1 in percent with one decimal: 0.9778 is "97.8 %"."""
    return f"{100 * share:.1f} %"


def points_text(difference: float) -> str:
    """Return a difference of shares in percentage points, signed: -0.0028 is "-0.28 points"."""
    value = f"{100 * difference:+.2f}"
    return f"{'0.00' if float(value) == 0 else value} points"


def ratio_text(ratio: float) -> str:
    """Return a ratio with three significant digits, at least two decimals below ten: "1.53x", "14.4x", "120x"."""
    return f"{_three_digits(ratio)}x"


def bytes_text(size: float) -> str:
    """Return a size in the largest binary unit of which there is at least one: 85402 is "83.4 KiB"."""
    scale, unit = next((pair for pair in _SIZES if abs(size) >= pair[0]), _SIZES[-1])
    return f"{size:,.0f} B" if scale == 1 else f"{_three_digits(size / scale)} {unit}"


def duration_text(duration_ns: float) -> str:
    """Return nanoseconds in the largest unit of which there is at least one: 61234 is "61.2 µs"."""
    scale, unit = next((pair for pair in _DURATIONS if abs(duration_ns) >= pair[0]), _DURATIONS[-1])
    return f"{_three_digits(duration_ns / scale)} {unit}"


def rate_text(per_second: float) -> str:
    """Return a rate: 16321.4 is "16,321/s"."""
    return f"{per_second:,.0f}/s" if abs(per_second) >= 100 else f"{_three_digits(per_second)}/s"


def count_text(count: float) -> str:
    """Return a count with thousands separators."""
    return f"{count:,.0f}"


def p_value_text(p_value: float) -> str:
    """Return a p-value with two decimals, or as "p < 0.001" where they would hide it."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def interval_text(interval: Sequence[float], text: Callable[[float], str]) -> str:
    """Return an interval with the unit of its upper end, once: "[95.7, 98.9] %" for shares, "[1.51, 1.55]" for ratios.

    The bounds are written out in full where they have different units.
    """
    low, high = text(interval[0]), text(interval[1])
    low_number, _, low_unit = low.partition(" ")
    high_number, _, high_unit = high.partition(" ")
    if low_unit != high_unit:
        return f"[{low}, {high}]"
    ends = f"[{low_number.removesuffix('x')}, {high_number.removesuffix('x')}]"
    return f"{ends} {high_unit}".rstrip()


def _milliseconds_text(duration_ms: float) -> str:
    return duration_text(duration_ms * 1e6)


def _three_digits(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    magnitude = math.floor(math.log10(abs(value) * (1 + 1e-12)))
    return f"{value:,.{min(max(2 - magnitude, 0), 4)}f}"


# unit of a metric -> how it is written
FORMATS: dict[str, Callable[[float], str]] = {
    "B": bytes_text,
    "count": count_text,
    "ms": _milliseconds_text,
    "ns": duration_text,
    "per_s": rate_text,
    "points": points_text,
    "ratio": ratio_text,
    "share": share_text,
}
