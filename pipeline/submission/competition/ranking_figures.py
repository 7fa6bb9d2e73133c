"""The figures that a competition ranks by, as they are read from a submission, and how people call and write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.submission.competition.bounds import bounds_of, doubt_of
from pipeline.submission.competition.limits import look_up, place_of
from pipeline.submission.competition.ranking import Score
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["Column", "columns_of", "score_of", "score_text"]

_UNDECIDED = ("inconclusive", "noisy")
_SPEED = ("comparisons", "speed")
# a figure's path -> what people call it, and its unit; others are called by their path
_NAMES: dict[str, tuple[str, str]] = {
    "accuracy.baseline.test.accuracy": ("baseline's accuracy", "share"),
    "accuracy.optimized.test.accuracy": ("accuracy", "share"),
    "comparisons.accuracy.delta": ("change of accuracy", "points"),
    "comparisons.size.ratio": ("compression", "ratio"),
    "comparisons.speed.speedup.estimate": ("speed-up", "ratio"),
    "size.optimized.macs": ("work (MACs)", "count"),
    "size.optimized.parameters": ("parameters", "count"),
    "size.optimized.stored_bytes": ("stored size", "B"),
    "size.optimized.working_set_bytes": ("weights in RAM", "B"),
}


class Column(NamedTuple):
    """A figure that ranks: its path in a submission, its name and unit ("" for a plain number), and which is better."""

    path: str
    name: str
    unit: str
    best: str


def columns_of(ranking: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return the figures of a competition's `ranking`, the one that decides first."""
    listed = (ranking["primary"], *ranking["then"])
    return tuple(Column(one["path"], _name(one["path"]), _unit(one["path"]), one["best"]) for one in listed)


def score_of(document: Mapping[str, Any], path: str) -> Score | str:
    """Return the figure at a path of a valid submission with its bounds, or why there is none that could rank."""
    place = place_of(path)
    value = look_up(document, place)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"it has no {_name(path)}"
    if doubt := doubt_of(document, place):
        return f"{_name(path)}: {doubt}"
    if place[:2] == _SPEED and (verdict := look_up(document, (*_SPEED, "verdict"))) in _UNDECIDED:
        return f"the verdict on its speed is {verdict}"
    bounds = bounds_of(document, place)
    low, high = bounds or (value, value)
    if not math.isfinite(low) or not math.isfinite(high):
        return f"{_name(path)}: its interval is not finite"
    return Score(float(value), float(low), float(high))


def score_text(score: Score | None, unit: str) -> str:
    """Return a score as people read it: "13.9x [12.2, 15.7]", "16.1 KiB", a dash if there is none."""
    if unit:
        value = None if score is None else score.value
        return with_interval(value, None if score is None or score.is_exact else (score.low, score.high), unit)
    if score is None:
        return quantity(None, "count")
    text = f"{score.value:.6g}"
    return text if score.is_exact else f"{text} [{score.low:.6g}, {score.high:.6g}]"


def _name(path: str) -> str:
    return _NAMES[path][0] if path in _NAMES else path


def _unit(path: str) -> str:
    return _NAMES[path][1] if path in _NAMES else ""
