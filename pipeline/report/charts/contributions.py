"""What each step contributes, seen alone, after the steps before it, and left out of all, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import RATIO, finished, line_at

__all__ = ["gains_in_accuracy", "gains_in_size", "gains_in_speed"]

Rows = Sequence[Mapping[str, Any]]

_ASPECTS = ["alone", "in order", "left out"]
_ROW = 18
_LOG_FROM = 2.0


def gains_in_size(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw how many times smaller each step makes the file."""
    return _ratios(rows, width, "times smaller")


def gains_in_speed(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw how many times as fast each step makes the model."""
    return _ratios(rows, width, "times as fast")


def gains_in_accuracy(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw by how many points each step changes the accuracy on the test split."""
    import altair as alt

    scale = alt.Scale(zero=False, padding=14)
    return _drawn(rows, width, scale, alt.Axis(title="points", tickCount=5), 0.0)


def _ratios(rows: Rows, width: Any, title: str) -> dict[str, Any]:
    import altair as alt

    ends = [row.get(key) or row["value"] for row in rows for key in ("low", "value", "high")]
    is_log = max(ends) > _LOG_FROM * min(ends)
    scale = alt.Scale(type="log", base=2, nice=False, padding=14) if is_log else alt.Scale(zero=False, padding=14)
    return _drawn(rows, width, scale, alt.Axis(title=title, labelExpr=RATIO, tickCount=5), 1.0)


def _drawn(rows: Rows, width: Any, scale: Any, axis: Any, nothing: float) -> dict[str, Any]:
    """Draw a mark with its interval for each row, and a dashed line where a step does nothing."""
    import altair as alt

    aspects = [name for name in _ASPECTS if any(row["aspect"] == name for row in rows)]
    steps = len({row["step"] for row in rows})
    colour = alt.Color(
        "aspect:N",
        scale=alt.Scale(domain=_ASPECTS, range=["@optimized", "@mark", "@chosen"]),
        legend=alt.Legend(values=aspects),
        sort=_ASPECTS,
    )
    base = (
        alt.Chart(alt.NamedData("gains"))
        .transform_filter(alt.datum.what == rows[0]["what"])
        .encode(
            y=alt.Y("step:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink")),
            yOffset=alt.YOffset("aspect:N", sort=_ASPECTS),
            color=colour,
            tooltip=[
                alt.Tooltip("step:N"),
                alt.Tooltip("aspect:N", title="seen"),
                alt.Tooltip("meaning:N", title="compared"),
                alt.Tooltip("text:N", title=rows[0]["what"]),
            ],
        )
    )
    marks = base.mark_point(filled=True, size=70, aria=False).encode(
        x=alt.X("value:Q", scale=scale, axis=axis),
        shape=alt.Shape(
            "aspect:N",
            scale=alt.Scale(domain=_ASPECTS, range=["circle", "square", "triangle"]),
            legend=alt.Legend(values=aspects),
        ),
    )
    whiskers = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, opacity=0.6, aria=False)
    whiskers = whiskers.encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    line = line_at(nothing, scale, "gains")
    layers = [line, whiskers, marks] if any("low" in row for row in rows) else [line, marks]
    return finished(alt.layer(*layers), width, steps * (len(aspects) + 1) * _ROW)
