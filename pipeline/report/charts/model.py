"""What is inside the models: time of layers before and after, sparsity and bits from step to step, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import DURATION, PERCENT, finished

__all__ = ["layers", "map_of_bits", "map_of_sparsity", "training"]

Rows = Sequence[Mapping[str, Any]]

_MANY = 20  # rows from which on they are drawn lower
_COLOURS = ["@optimized", "@chosen", "@third", "@fourth", "@fifth"]


def layers(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the time of each layer of both models, one bar above the other."""
    import altair as alt

    count = len({row["layer"] for row in rows})
    y = alt.Y("layer:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink"))
    offset = alt.YOffset("side:N", sort=["baseline", "optimized"])
    x = alt.X("ns:Q", scale=alt.Scale(padding=0), axis=alt.Axis(title=None, labelExpr=DURATION, tickCount=5))
    base = alt.Chart(alt.NamedData("layers")).encode(y=y, yOffset=offset, x=x)
    bars = base.mark_bar(aria=False).encode(
        color=alt.Color("side:N", scale=alt.Scale(domain=["baseline", "optimized"], range=["@baseline", "@optimized"])),
        tooltip=[alt.Tooltip("layer:N"), alt.Tooltip("side:N", title="model"), alt.Tooltip("tip:N", title="time")],
    )
    texts = base.mark_text(align="left", dx=5, fontSize=11, aria=False).encode(text="text:N")
    longest = max(row["ns"] for row in rows)
    room = base.mark_point(opacity=0, size=0, aria=False).encode(x=alt.datum(longest * 1.35, type="quantitative"))
    return finished(alt.layer(bars, texts, room), width, count * (38 if count < _MANY else 22))


def map_of_sparsity(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the share of each layer's weights that are gone after each step."""
    import altair as alt

    scale = alt.Scale(domain=[0, 1], range=["@low", "@high"], interpolate="lab")
    legend = alt.Legend(format="%", tickCount=3, gradientLength=120) if _is_tall(rows) else None
    return _map(rows, width, alt.Color("gone:Q", scale=scale, legend=legend), "t_gone:N", "datum.gone > 0.55")


def map_of_bits(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the bits of each layer's weights after each step; the darker, the fewer."""
    import altair as alt

    scale = alt.Scale(type="log", base=2, domain=[1, 32], range=["@high", "@low"], interpolate="lab", clamp=True)
    legend = alt.Legend(values=[2, 8, 32], format="d", gradientLength=120) if _is_tall(rows) else None
    return _map(rows, width, alt.Color("bits:Q", scale=scale, legend=legend), "t_bits:N", "datum.bits < 6")


def _map(rows: Rows, width: Any, colour: Any, text: str, is_dark: str) -> dict[str, Any]:
    import altair as alt

    count, is_tall = len({row["layer"] for row in rows}), _is_tall(rows)
    base = alt.Chart(alt.NamedData("maps")).encode(
        x=alt.X(
            "stage:N",
            sort=None,
            axis=alt.Axis(title=None, orient="top", labelAngle=0, domain=False, ticks=False, labelLimit=90),
        ),
        y=alt.Y("layer:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink")),
    )
    cells = base.mark_rect(stroke="@panel", strokeWidth=2, cornerRadius=3, aria=False).encode(
        color=colour,
        tooltip=[alt.Tooltip("layer:N"), alt.Tooltip("stage:N", title="after"), alt.Tooltip("tip:N", title="weights")],
    )
    shown = [cells]
    if not is_tall:
        ink = alt.when(is_dark).then(alt.value("@on_high")).otherwise(alt.value("@on_low"))
        shown.append(base.mark_text(fontSize=11, aria=False).encode(text=text, color=ink))
    return finished(alt.layer(*shown), width, count * (14 if is_tall else 30))


def _is_tall(rows: Rows) -> bool:
    """Say whether there are too many layers to write a figure into each cell."""
    return len({row["layer"] for row in rows}) > _MANY


def training(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw one figure of all trainings by epoch; each training goes on where the one before ended."""
    import altair as alt

    what = rows[0]["what"]
    is_share = what.endswith("accuracy")
    values = [row["value"] for row in rows]
    is_log = not is_share and min(values) > 0 and max(values) > 20 * min(values)
    scale = alt.Scale(type="log", nice=False) if is_log else alt.Scale(zero=False)
    axis = alt.Axis(title=None, labelExpr=PERCENT, tickCount=5) if is_share else alt.Axis(title=None, tickCount=5)
    base = alt.Chart(alt.NamedData("epochs")).transform_filter(alt.datum.what == what)
    lines = base.mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=2, aria=False).encode(
        x=alt.X("epoch:Q", axis=alt.Axis(title="epoch", tickMinStep=1, labelFlush=False), scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", scale=scale, axis=axis),
        color=alt.Color(
            "training:N", sort=None, scale=alt.Scale(range=_COLOURS), legend=alt.Legend(symbolType="stroke")
        ),
        strokeDash=alt.StrokeDash("training:N", sort=None),
        tooltip=[
            alt.Tooltip("training:N"),
            alt.Tooltip("epoch:Q"),
            alt.Tooltip("value:Q", title=what, format=".2%" if is_share else ".4g"),
        ],
    )
    return finished(lines, width, 220)
