"""Where the marks of the report's charts go: scales, ticks and coordinates, for a template that only draws them.

Two trade-offs (test accuracy against stored size, and against speed-up) and one row of intervals for each speed-up.
Speed is shown as the ratio to the baseline of the same measurement: latencies of two measurements do not compare.
Pure geometry in SVG units; whatever the figures are, every coordinate is finite and inside the frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import quantity

__all__ = ["Forest", "Interval", "Mark", "Scatter", "Tick", "forest", "scatter"]

WIDTH, HEIGHT = 440, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 26, 44
_LOG_FROM = 8.0  # a range that spans more than this factor gets a logarithmic scale
_FOREST_LEFT, _FOREST_WIDTH, _ROW = 210, 720, 22
_MOST_ROWS = 60
_LABEL = 28  # characters
_ZEROS = re.compile(r"\.0+(?!\d)")  # of round values: 95.0 % is 95 %


@dataclass(frozen=True)
class Tick:
    """A position on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point: `kind` is baseline, chosen or other; the others are the ends of its intervals' lines."""

    x: float
    y: float
    left: float
    right: float
    low: float
    high: float
    kind: str
    label: str
    title: str
    anchor: str


@dataclass(frozen=True)
class Scatter:
    """A chart of accuracy against something."""

    name: str
    width: int
    height: int
    left: int
    bottom: int
    right: int
    top: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Interval:
    """One row: an estimate between two ends."""

    y: float
    x: float
    low: float
    high: float
    kind: str
    label: str
    text: str


@dataclass(frozen=True)
class Forest:
    """Rows of intervals over a common scale; `one` is where a ratio of 1 lies."""

    width: int
    height: int
    left: int
    one: float
    ticks: tuple[Tick, ...]
    rows: tuple[Interval, ...]
    hidden: int


@dataclass(frozen=True)
class _Axis:
    """A scale from values to positions between two ends; logarithmic where all values are positive and far apart."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool

    def at(self, value: float) -> float:
        low, high, value = (self._line(v) for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 1)

    def _line(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.is_log else value


def scatter(name: str, key: str, unit: str, points: Sequence[tuple[Mapping[str, Any], str, str]]) -> Scatter:
    """Return the chart of test accuracy against `key`; points are (numbers, kind, label), drawn in this order.

    A figure `key` may have an interval, `key`_interval.
    """
    x_ends = [numbers.get(f"{key}_interval", (numbers[key], numbers[key])) for numbers, _, _ in points]
    x_axis = _axis([end for ends in x_ends for end in ends], LEFT, WIDTH - RIGHT, from_zero=unit == "B")
    bounds = [bound for numbers, _, _ in points for bound in numbers["interval"]]
    y_axis = _axis([min(max(bound, 0.0), 1.0) for bound in bounds], HEIGHT - BOTTOM, TOP, from_zero=False)
    marks = []
    for (numbers, kind, label), ends in zip(points, x_ends, strict=True):
        x, (left, right) = x_axis.at(numbers[key]), (x_axis.at(end) for end in ends)
        low, high = (y_axis.at(bound) for bound in numbers["interval"])
        title = f"{label}: {quantity(numbers['accuracy'], 'share')}, {quantity(numbers[key], unit)}"
        shown = label if kind != "other" else ""
        anchor = "end" if x > WIDTH * 0.85 else "start" if x < WIDTH * 0.25 else "middle"
        marks.append(Mark(x, y_axis.at(numbers["accuracy"]), left, right, low, high, kind, shown, title, anchor))
    return Scatter(
        name=name,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        bottom=HEIGHT - BOTTOM,
        right=WIDTH - RIGHT,
        top=TOP,
        x_ticks=_ticks(x_axis, unit, 5, binary=unit == "B"),
        y_ticks=_ticks(y_axis, "share", 5),
        marks=tuple(marks),
    )


def forest(points: Sequence[tuple[Mapping[str, Any], str, str]]) -> Forest:
    """Return the chart of speed-ups with their intervals, at most 60 rows, the chosen point among them."""
    shown = [point for i, point in enumerate(points) if i < _MOST_ROWS or point[1] == "chosen"]
    ends = [bound for numbers, _, _ in shown for bound in numbers["speedup_interval"]]
    positive = [end for end in ends if end > 0]
    axis = _axis([*positive, 1.0], _FOREST_LEFT, _FOREST_WIDTH - 24, from_zero=False)
    rows = []
    for i, (numbers, kind, label) in enumerate(shown):
        low, high = (axis.at(bound) for bound in numbers["speedup_interval"])
        short = label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"
        text = f"{label}: {quantity(numbers['speedup'], 'ratio')}"
        rows.append(Interval((i + 0.5) * _ROW + 4, axis.at(numbers["speedup"]), low, high, kind, short, text))
    return Forest(
        width=_FOREST_WIDTH,
        height=len(shown) * _ROW + 34,
        left=_FOREST_LEFT,
        one=axis.at(1.0),
        ticks=_ticks(axis, "ratio", 6),
        rows=tuple(rows),
        hidden=len(points) - len(shown),
    )


def _axis(values: Sequence[float], start: float, end: float, *, from_zero: bool) -> _Axis:
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOG_FROM:
        return _Axis(low / 1.3, high * 1.3, start, end, is_log=True)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return _Axis(0.0 if from_zero and low >= 0 else low - margin, high + margin, start, end, is_log=False)


def _ticks(axis: _Axis, unit: str, most: int, *, binary: bool = False) -> tuple[Tick, ...]:
    """Return at most about `most` ticks at round values, without two of the same text."""
    values = _log_values(axis, binary) if axis.is_log else _linear_values(axis, most, binary)
    step = max(1, math.ceil(len(values) / most))
    ticks = {_tick_text(value, unit): axis.at(value) for value in values[::step]}
    return tuple(Tick(at, text) for text, at in ticks.items())


def _tick_text(value: float, unit: str) -> str:
    return _ZEROS.sub("", quantity(value, unit)) if value else "0"


def _log_values(axis: _Axis, binary: bool) -> list[float]:
    if binary:
        first, last = math.ceil(math.log2(axis.low)), math.floor(math.log2(axis.high))
        return [2.0**power for power in range(first, last + 1)]
    decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    return [v for d in decades for m in (1, 2, 5) if axis.low <= (v := _round_number(m, d)) <= axis.high]


def _round_number(digit: int, decade: int) -> float:
    return digit * 10.0**decade if decade < 308 else math.inf


def _linear_values(axis: _Axis, most: int, binary: bool) -> list[float]:
    span = axis.high - axis.low
    if not 0 < span < math.inf:
        return [axis.low]
    rounded: Callable[[float], float] = _binary_step if binary else _decimal_step
    step = rounded(span / most)
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return [i * step for i in range(first, last + 1)]


def _binary_step(least: float) -> float:
    return float(2.0 ** math.ceil(math.log2(least)))


def _decimal_step(least: float) -> float:
    decade = 10.0 ** math.floor(math.log10(least))
    return next(multiple * decade for multiple in (1, 2, 5, 10) if multiple * decade >= least)
