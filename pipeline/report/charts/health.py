"""A training seen from inside: how gradients flow through the layers, and which units are idle, from look to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import finished

__all__ = ["gradient_flow", "idle_units"]

Rows = Sequence[Mapping[str, Any]]

_MANY = 20  # layers from which on they are drawn lower


def gradient_flow(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the gradient of each layer's weights at every look, one line for each; the later, the darker."""
    import altair as alt

    count = len({row["layer"] for row in rows})
    values = [row["value"] for row in rows]
    is_wide = max(values) > 4 * min(values)
    scale = alt.Scale(type="log", nice=False, padding=12) if is_wide else alt.Scale(zero=False, padding=12)
    axis = alt.Axis(title="gradient (root mean square)", tickCount=5, format=".0e" if is_wide else ".2g")
    y = alt.Y("layer:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink"))
    last = max(row["look"] for row in rows)
    colour = alt.Color(
        "look:Q",
        scale=alt.Scale(domain=[0, max(last, 1)], range=["@baseline", "@optimized"], interpolate="lab"),
        legend=None,
    )
    base = alt.Chart(alt.NamedData("health")).transform_filter(alt.datum.what == "gradient").encode(y=y)
    x = alt.X("value:Q", scale=scale, axis=axis)
    tips = [alt.Tooltip("layer:N"), alt.Tooltip("after:N", title="seen after"), alt.Tooltip("text:N", title="gradient")]
    lines = base.mark_line(strokeWidth=1.5, aria=False).encode(x=x, color=colour, detail="look:Q", order="place:Q")
    points = base.mark_circle(size=36, opacity=1, aria=False).encode(x=x, color=colour, tooltip=tips)
    layers = [lines, points]
    ends = base.transform_filter((alt.datum.look == 0) | (alt.datum.look == last)).transform_filter(
        alt.datum.place == 0
    )
    layers.append(ends.mark_text(dy=-10, fontSize=11, aria=False).encode(x=x, text="after:N"))
    return finished(alt.layer(*layers), width, count * (34 if count < _MANY else 16) + 12)


def idle_units(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw the share of each layer's units that do nothing, or of its outputs that are saturated, at every look."""
    import altair as alt

    count = len({row["layer"] for row in rows})
    base = (
        alt.Chart(alt.NamedData("health"))
        .transform_filter(alt.datum.what == "idle")
        .encode(
            x=alt.X(
                "after:N",
                sort=None,
                axis=alt.Axis(title=None, orient="top", labelAngle=0, domain=False, ticks=False, labelLimit=90),
            ),
            y=alt.Y("layer:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink")),
        )
    )
    scale = alt.Scale(domain=[0, 1], range=["@low", "@high"], interpolate="lab")
    cells = base.mark_rect(stroke="@panel", strokeWidth=2, cornerRadius=3, aria=False).encode(
        color=alt.Color("value:Q", scale=scale, legend=None),
        tooltip=[
            alt.Tooltip("layer:N"),
            alt.Tooltip("after:N", title="seen after"),
            alt.Tooltip("text:N", title="units"),
        ],
    )
    shown = [cells]
    if count <= _MANY:
        ink = alt.when("datum.value > 0.55").then(alt.value("@on_high")).otherwise(alt.value("@on_low"))
        shown.append(base.mark_text(fontSize=11, aria=False).encode(text="short:N", color=ink))
    return finished(alt.layer(*shown), width, count * (30 if count <= _MANY else 14))
