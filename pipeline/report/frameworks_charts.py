"""The two charts of a comparison of frameworks as SVG that a page holds: ratios with intervals, and the roofline.

Drawn here rather than by Vega: they are still, take the page's colours in both schemes, and need no script. Every text
is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from pipeline.report.charts.scales import round_values
from pipeline.report.frameworks import FrameworkRow
from pipeline.report.text import printable

__all__ = ["STYLE", "ratios", "roofline"]

_ROW, _LABELS, _WIDTH, _TOP = 24, 300, 900, 26
_HEIGHT = 380
_MARGIN = (60, 20, 20, 44)  # left, right, top, bottom of the roofline
_FEWEST_DECADES = 0.3
_LARGEST = 1e6

STYLE = """
svg.drawn { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg.drawn text { fill: var(--ink); } svg.drawn text.soft { fill: var(--soft); }
svg.drawn .grid { stroke: var(--line); } svg.drawn .one { stroke: var(--ink); stroke-dasharray: 4 4; opacity: .7; }
svg.drawn .roof { stroke: var(--mark); fill: none; stroke-width: 2; } svg.drawn .roof.integer { stroke-dasharray: 6 4; }
svg.drawn .roof.cache { stroke-dasharray: 2 4; }
svg.drawn .good { stroke: var(--good); fill: var(--good); } svg.drawn .bad { stroke: var(--bad); fill: var(--bad); }
svg.drawn .plain { stroke: var(--mark); fill: var(--mark); } svg.drawn .warn { stroke: var(--warn); fill: var(--warn); }
svg.drawn .wide { stroke-width: 6; opacity: .4; } svg.drawn .ours { fill: var(--accent); }
svg.drawn .theirs { fill: var(--panel); stroke: var(--bad); stroke-width: 2; }
svg.drawn .link { stroke: var(--mark); opacity: .5; }
"""


def ratios(rows: Sequence[FrameworkRow]) -> str:
    """Draw PyTorch's time over ours, with its interval, on a logarithmic axis; "" where nothing was compared."""
    compared = [row for row in rows if row.figures["ratio"]]
    if not compared:
        return ""
    bounds = [min(bound, _LARGEST) for row in compared for bound in row.figures["ratio"]["interval"]]
    scale, ticks = _axis([*bounds, 1.0], _LABELS + 10, _WIDTH - 60)
    height = _TOP + _ROW * len(compared) + 10
    parts = [_line(scale(tick), _TOP, scale(tick), height, "grid") for tick in ticks]
    parts += [_text(scale(tick), _TOP - 8, f"{tick:g}x", "middle", "soft") for tick in ticks]
    parts.append(_line(scale(1), _TOP, scale(1), height, "one"))
    for number, row in enumerate(compared):
        parts += _ratio(row, scale, _TOP + _ROW * (number + 0.5))
    return _svg(_WIDTH, height, "PyTorch's time over ours for every piece of work, with its interval.", parts)


def _ratio(row: FrameworkRow, scale: Callable[[float], float], y: float) -> Iterator[str]:
    ratio = row.figures["ratio"]
    low, high = (scale(min(bound, _LARGEST)) for bound in ratio["interval"])
    at, tone = scale(min(ratio["estimate"], _LARGEST)), row.tone or "plain"
    yield _text(_LABELS, y + 4, row.title, "end")
    yield _line(low, y, max(high, low + 1), y, f"{tone} wide")
    yield f'<circle cx="{at:.1f}" cy="{y:.1f}" r="4" class="{tone}"><title>{_safe(row.ratio)}</title></circle>'
    yield _text(max(high, at) + 9, y + 4, f"{ratio['estimate']:.3g}x")


def roofline(rows: Sequence[FrameworkRow], peaks: Mapping[str, Any]) -> str:
    """Draw operations a second against operations for each byte, below what memory and arithmetic allow."""
    left, right, top, bottom = _MARGIN
    intensities = [row.figures["operations_per_byte"] for row in rows]
    speeds = [speed for row in rows for speed in row.figures["gops"].values()]
    roofs = [peaks["gflops"], *([peaks["int8_gops"]] if peaks["int8_gops"] else [])]
    across, x_ticks = _axis([*intensities, roofs[0] / peaks["memory_gbps"]], left, _WIDTH - right)
    up, y_ticks = _axis([*speeds, *roofs], _HEIGHT - bottom, top)
    parts = [_line(across(tick), top, across(tick), _HEIGHT - bottom, "grid") for tick in x_ticks]
    parts += [_text(across(tick), _HEIGHT - bottom + 16, f"{tick:g}", "middle", "soft") for tick in x_ticks]
    parts += [_line(left, up(tick), _WIDTH - right, up(tick), "grid") for tick in y_ticks]
    parts += [_text(left - 6, up(tick) + 4, f"{tick:g}", "end", "soft") for tick in y_ticks]
    ends = across.low, across.high
    for peak, kind in zip(roofs, ("roof", "roof integer"), strict=False):
        parts.append(_roof(peak, peaks["memory_gbps"], ends, (across, up), kind))
    parts.append(_roof(roofs[-1], peaks["cache_gbps"], ends, (across, up), "roof cache"))
    for row in rows:
        parts += _dots(row, across, up)
    parts.append(
        _text((left + _WIDTH - right) / 2, _HEIGHT - 8, "operations for each byte that is moved", "middle", "soft")
    )
    parts.append(
        _text(
            left + 4,
            top - 6,
            "billion operations a second; the line is what memory, then arithmetic allow",
            "start",
            "soft",
        )
    )
    return _svg(_WIDTH, _HEIGHT, "Speed of every piece of work against its operations for each byte moved.", parts)


def _roof(peak: float, gbps: float, ends: tuple[float, float], axes: tuple[Any, Any], kind: str) -> str:
    across, up = axes
    low, high = ends
    ridge = min(max(peak / gbps, low), high)
    start = max(low, up.low / gbps)
    points = [(start, min(peak, start * gbps)), (ridge, min(peak, ridge * gbps)), (high, min(peak, high * gbps))]
    drawn = " ".join(f"{across(x):.1f},{up(max(y, up.low)):.1f}" for x, y in points)
    return f'<polyline points="{drawn}" class="{kind}"/>'


def _dots(row: FrameworkRow, across: Callable[[float], float], up: Callable[[float], float]) -> Iterator[str]:
    x = across(row.figures["operations_per_byte"])
    places = {name: up(speed) for name, speed in row.figures["gops"].items()}
    if len(places) == 2:
        yield _line(x, places["tinytorch"], x, places["torch"], "link")
    for name, y in places.items():
        shown, kind = ("tinytorch", "ours") if name == "tinytorch" else ("PyTorch", "theirs")
        told = f"{row.title}, {shown}: {row.figures['gops'][name]:.3g} billion operations a second"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{kind}"><title>{_safe(told)}</title></circle>'


class _Axis:
    """A logarithmic scale from values to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self._start, self._end = low, high, start, end

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._start + share * (self._end - self._start)


def _axis(values: Sequence[float], start: float, end: float) -> tuple[_Axis, list[float]]:
    low, high = min(values) / 1.15, max(values) * 1.15
    if math.log10(high / low) < _FEWEST_DECADES:
        low, high = low / 1.3, high * 1.3
    return _Axis(low, high, start, end), round_values(low, high, 9)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{_safe(text)}</text>'


def _svg(width: float, height: float, alt: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="drawn" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(alt)}">'
        f"{''.join(parts)}</svg>"
    )


def _safe(text: str) -> str:
    return escape(printable(text))
