"""What each step did, as a waterfall from the baseline on: of bytes and work by factors, of accuracy in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import BYTES, COUNT, PERCENT, finished, powers_of_two, round_values

__all__ = ["accuracy_steps", "size_steps", "work_steps"]

Rows = Sequence[Mapping[str, Any]]

_ROW = 42
_LOG_FROM = 3.0
_TONES = ("start", "better", "worse", "same")


def size_steps(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the stored bytes from step to step."""
    return _waterfall(rows, width, BYTES)


def work_steps(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the multiply-accumulates from step to step."""
    return _waterfall(rows, width, COUNT)


def accuracy_steps(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the accuracy from step to step, with the interval that it has after each."""
    return _waterfall(rows, width, PERCENT, is_share=True)


def _waterfall(rows: Rows, width: Any, words: str, *, is_share: bool = False) -> dict[str, Any]:
    import altair as alt

    values = [row["after"] for row in rows]
    low, high = min(values), max(values)
    is_log = not is_share and high > _LOG_FROM * low
    scale = alt.Scale(type="log", base=2, nice=False, padding=44) if is_log else alt.Scale(zero=False, padding=44)
    powers = powers_of_two(low, high) if words == BYTES else round_values(low, high, 4)
    ticks: dict[str, Any] = {"values": powers} if is_log and len(powers) > 1 else {"tickCount": 4}
    x = alt.X("before:Q", scale=scale, axis=alt.Axis(title=None, labelExpr=words, **ticks))
    after = alt.X("after:Q", scale=scale)
    y = alt.Y("step:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink"))
    colour = alt.Color(
        "tone:N",
        scale=alt.Scale(domain=list(_TONES), range=["@baseline", "@better", "@worse", "@same"]),
        legend=None,
    )
    tips = [alt.Tooltip("step:N"), alt.Tooltip("tip:N", title=rows[0]["what"])]
    base = alt.Chart(alt.NamedData("steps")).transform_filter(alt.datum.what == rows[0]["what"]).encode(y=y)
    bars = base.mark_bar(height=12, opacity=0.85, aria=False).encode(x=x, x2="after:Q", color=colour, tooltip=tips)
    ends = base.mark_tick(thickness=3, size=18, aria=False).encode(x=after, color=colour, tooltip=tips)
    words_of = base.mark_text(dy=-14, fontSize=11, aria=False).encode(x=after, text="text:N")
    layers = [bars, ends, words_of]
    if is_share:
        whiskers = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, opacity=0.7, aria=False)
        layers.insert(1, whiskers.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", color=colour))
    return finished(alt.layer(*layers), width, _ROW * len(rows))
