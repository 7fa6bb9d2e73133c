"""Time: how long queries take, and the speed-up beside how much identical code differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import DURATION, RATIO, finished, line_at, round_values

__all__ = ["latency", "processes"]

Rows = Sequence[Mapping[str, Any]]

_ARMS = ["baseline", "same code twice", "optimized"]
_LOG_FROM = 4.0
_ROW = 120
_DRAWN = 0.99  # share of the queries up to which curves are drawn


def latency(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the share of queries that are answered within a time."""
    import altair as alt

    # What a curve does beyond is told by the percentiles in the table, and would squeeze all else.
    ends = min(row["ns"] for row in rows), max(row["ns"] for row in rows if row["share"] <= _DRAWN)
    scale = alt.Scale(type="log", nice=False, domain=[ends[0] / 1.1, ends[1] * 1.6])
    ticks = round_values(ends[0] / 1.1, ends[1] * 1.6)
    axis = alt.Axis(title="time of a query", labelExpr=DURATION, values=ticks)
    base = alt.Chart(alt.NamedData("latency")).encode(
        x=alt.X("ns:Q", scale=scale, axis=axis),
        y=alt.Y("share:Q", axis=alt.Axis(title="share of queries within it", format="%", tickCount=5)),
        order="share:Q",
        color=alt.Color(
            "arm:N",
            scale=alt.Scale(domain=_ARMS, range=["@baseline", "@control", "@optimized"]),
            sort=_ARMS,
            legend=alt.Legend(symbolType="stroke"),
        ),
        tooltip=[
            alt.Tooltip("arm:N", title="model"),
            alt.Tooltip("share:Q", title="queries", format=".1%"),
            alt.Tooltip("ns:Q", title="within ns", format=",.0f"),
        ],
    )
    lines = base.mark_line(strokeWidth=2.2, clip=True, aria=False).encode(
        strokeDash=alt.StrokeDash("arm:N", scale=alt.Scale(domain=_ARMS, range=[[1, 0], [5, 4], [1, 0]]), sort=_ARMS)
    )
    marks = base.transform_filter("datum.share == 0.5 || datum.share == 0.9").mark_point(filled=True, size=45)
    return finished(alt.layer(lines, marks), width, 260)


def processes(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw speed-up and control: a bar for the interval, a dot for each process, a line where nothing changes."""
    import altair as alt

    ends = [row[key] for row in rows for key in ("ratio", "low", "high") if key in row]
    is_log = max(ends) > _LOG_FROM * min(ends)
    scale = alt.Scale(type="log", base=2, nice=False, padding=20) if is_log else alt.Scale(zero=False, padding=20)
    axis = alt.Axis(title="times as fast as the baseline", labelExpr=RATIO, tickCount=6)
    y = alt.Y(
        "what:N",
        sort=["speed-up", "same code twice"],
        axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink"),
    )
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=["speed-up", "same code twice"], range=["@optimized", "@control"]),
        legend=None,
    )
    base = alt.Chart(alt.NamedData("ratios")).encode(y=y)
    whole, tip = base.transform_filter("datum.kind == 'all'"), [alt.Tooltip("what:N"), alt.Tooltip("text:N")]
    bars = whole.mark_bar(height=14, opacity=0.35, cornerRadius=3, aria=False).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", color=colour, tooltip=tip
    )
    middle = whole.mark_tick(thickness=3, size=26, aria=False).encode(
        x=alt.X("ratio:Q", scale=scale), color=colour, tooltip=tip
    )
    texts = whole.mark_text(dy=-22, fontWeight=600, aria=False).encode(x=alt.X("ratio:Q", scale=scale), text="text:N")
    dots = (
        base.transform_filter("datum.kind == 'one'")
        .mark_point(filled=True, size=42, opacity=0.9, aria=False)
        .encode(x=alt.X("ratio:Q", scale=scale), color=colour, tooltip=tip)
    )
    one = line_at(1.0, scale, "ratios")
    return finished(alt.layer(one, bars, dots, middle, texts), width, 2 * _ROW)
