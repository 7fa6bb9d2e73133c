"""The points of a sweep: two views of their front, and one line for each through all axes.

Charts of points share two parameters that the page sets: `picked` (places of the points that are brushed or chosen in
the table, all if empty) and `hovered` (the place under the pointer, -2 if none).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import BYTES, PERCENT, RATIO, finished

__all__ = ["by_size", "by_speed", "sweep"]

Rows = Sequence[Mapping[str, Any]]

HEIGHT = 300
# A text is drawn twice, so that it can be read over marks.
HALO: tuple[dict[str, Any], ...] = ({"color": "@panel", "stroke": "@panel", "strokeWidth": 4}, {"color": "@ink"})
_FEW = 60  # lines up to which each is drawn strong
_LOG_FROM = {"size": 5.0, "ratio": 8.0}  # times between the ends; sizes are read in powers of two from three of them on
# Where a name may stand, the first that is free: what it covers, as shares of the chart from its mark on, and how it is
# written there.
_SIDES = {
    "above": (-0.11, 0.11, 0.025, 0.09),
    "right": (0.02, 0.24, -0.035, 0.035),
    "left": (-0.24, -0.02, -0.035, 0.035),
    "below": (-0.11, 0.11, -0.09, -0.025),
}
_EDGE = 0.02  # a name may go as far beyond the chart
_LOOKS: dict[str, dict[str, Any]] = {
    "above": {"dy": -15},
    "right": {"dx": 12, "align": "left", "baseline": "middle"},
    "left": {"dx": -12, "align": "right", "baseline": "middle"},
    "below": {"dy": 18},
}
_PLACED = {"fontWeight": 600, "aria": False}
_TIP = (
    ("label", "point"),
    ("t_acc", "accuracy (validation)"),
    ("t_test", "accuracy (test)"),
    ("t_size", "stored size"),
    ("t_ratio", "speed-up"),
)
_IS_PICKED = "picked.length == 0 || indexof(picked, datum.i) >= 0"
_IS_HOVERED = "hovered == datum.i"


def by_size(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw validation accuracy against stored size; the smaller the better."""
    return _front(rows, width, ("size", "stored size", BYTES), "by_size", "step-after")


def by_speed(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw validation accuracy against speed-up; the faster the better."""
    return _front(rows, width, ("ratio", "speed-up over the baseline", RATIO), "by_speed", "step-before")


def _front(rows: Rows, width: Any, of: tuple[str, str, str], member: str, stairs: str) -> dict[str, Any]:
    import altair as alt

    key, title, words = of
    values = [row[key] for row in rows]
    is_log = max(values) > _LOG_FROM[key] * min(values)
    scale = alt.Scale(type="log", base=2, nice=False, padding=44) if is_log else alt.Scale(zero=False, padding=44)
    x = alt.X(f"{key}:Q", scale=scale, axis=alt.Axis(title=title, labelExpr=words, tickCount=6))
    shares = [row["acc"] for row in rows]
    margin = 0.08 * (max(shares) - min(shares)) or 0.02
    ends = [min(shares) - margin, min(max(shares) + 2 * margin, 1.0 + margin)]
    y_scale = alt.Scale(domain=ends, nice=False)
    y = alt.Y("acc:Q", scale=y_scale, axis=alt.Axis(title="accuracy (validation)", labelExpr=PERCENT, tickCount=6))
    base = alt.Chart(alt.NamedData("points")).encode(x=x, y=y)
    tips = [alt.Tooltip(f"{field}:N", title=name) for field, name in _TIP]
    line = base.transform_filter(f"datum.{member}").mark_line(
        interpolate=stairs, color="@optimized", strokeWidth=1.5, opacity=0.5, clip=True
    )
    shown = f"datum.kind != 'other' || {_IS_HOVERED}"
    whiskers = base.transform_filter(shown).mark_rule(strokeWidth=1.5, opacity=0.6, color="@mark", clip=True)
    whiskers = whiskers.encode(y=alt.Y("acc_low:Q", scale=y_scale), y2="acc_high:Q")
    colour = (
        alt.when("datum.kind == 'submitted'")
        .then(alt.value("@chosen"))
        .when("datum.kind == 'baseline'")
        .then(alt.value("@ink"))
        .otherwise(alt.value("@optimized"))
    )
    marks = base.mark_point(strokeWidth=1.5, clip=True, aria=False).encode(
        shape=alt.Shape(
            "kind:N",
            scale=alt.Scale(domain=["baseline", "other", "submitted"], range=["square", "circle", "diamond"]),
            legend=None,
        ),
        stroke=colour,
        fill=colour,
        fillOpacity=alt.when("datum.front || datum.kind != 'other'").then(alt.value(0.95)).otherwise(alt.value(0.12)),
        opacity=alt.when(f"{_IS_PICKED} || {_IS_HOVERED}").then(alt.value(1)).otherwise(alt.value(0.12)),
        size=alt.when(f"datum.kind == 'submitted' || {_IS_HOVERED}")
        .then(alt.value(190))
        .otherwise(alt.value(80 if len(rows) < 150 else 40)),
        tooltip=tips,
    )
    names = [
        base.transform_filter(alt.datum.kind == kind).mark_text(**place, **look).encode(text="kind:N")
        for kind, place in _names(rows, key, ends, is_log).items()
        for look in HALO
    ]
    brush = alt.selection_interval(name="brush", zoom=False)
    layered = alt.layer(line, whiskers, marks.add_params(brush), *names)
    return finished(layered.add_params(*_linked()), width, HEIGHT)


def _names(rows: Rows, key: str, ends: Sequence[float], is_log: bool) -> dict[str, dict[str, Any]]:
    """Return where the name of each point that has one is written: where it covers the fewest of the others."""
    across = [math.log2(row[key]) if is_log else row[key] for row in rows]
    spread = (max(across) - min(across)) or 1.0
    places = [
        (0.11 + 0.78 * (value - min(across)) / spread, (row["acc"] - ends[0]) / (ends[1] - ends[0]))
        for row, value in zip(rows, across, strict=True)
    ]
    found = {}
    for row, (x, y) in zip(rows, places, strict=True):
        if row["kind"] != "other":
            free = {
                side: box
                for side, box in _SIDES.items()
                if x + box[0] > -_EDGE and x + box[1] < 1 + _EDGE and y + box[2] > 0
            }
            covered = {
                side: sum(
                    3 if other["front"] else 1
                    for other, (u, v) in zip(rows, places, strict=True)
                    if box[0] < u - x < box[1] and box[2] < v - y < box[3]
                )
                for side, box in free.items()
            }
            found[row["kind"]] = _PLACED | _LOOKS[min(covered, key=lambda side: covered[side], default="above")]
    return found


def sweep(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw parallel coordinates: the swept parameters, then size, accuracy and speed-up; brushing picks lines."""
    import altair as alt

    count = sum(key[0] == "n" and key[1:].isdecimal() for key in rows[0])
    scale = alt.Scale(domain=[-0.35, count - 0.65], nice=False)
    x = alt.X("axis:Q", scale=scale, axis=None)
    heights = alt.Scale(domain=[-0.06, 1.12], nice=False)
    y = alt.Y("height:Q", scale=heights, axis=None)
    lines = (
        alt.Chart(alt.NamedData("points"))
        .transform_filter("datum.i >= 0")
        .transform_fold([f"n{k}" for k in range(count)], as_=["key", "height"])
        .transform_calculate(axis="toNumber(substring(datum.key, 1))")
        .mark_line(strokeJoin="round", aria=False)
        .encode(
            x=x,
            y=y,
            detail="i:N",
            order="axis:Q",
            color=alt.when("datum.kind == 'submitted'").then(alt.value("@chosen")).otherwise(alt.value("@optimized")),
            strokeWidth=alt.when(f"datum.kind == 'submitted' || {_IS_HOVERED}")
            .then(alt.value(3))
            .otherwise(alt.value(1.2)),
            opacity=alt.when(_IS_HOVERED)
            .then(alt.value(1))
            .when(f"!({_IS_PICKED})")
            .then(alt.value(0.05))
            .when("datum.kind == 'submitted'")
            .then(alt.value(1))
            .otherwise(alt.value(0.55 if len(rows) < _FEW else 0.15)),
            tooltip=[alt.Tooltip(f"{field}:N", title=name) for field, name in _TIP],
        )
    )
    submitted = lines.transform_filter("datum.kind == 'submitted'")
    ticks = alt.Chart(alt.NamedData("axes")).encode(x=x)
    heads = ticks.transform_filter("datum.is_first").transform_calculate(foot="0", head="1", above="1.045")
    rules = heads.mark_rule(color="@mark").encode(y=alt.Y("foot:Q", scale=heights, axis=None), y2="head:Q")
    texts = {"align": "right", "dx": -6, "fontSize": 11, "aria": False}
    labels = [ticks.mark_text(**texts, **look).encode(y=y, text="text:N") for look in HALO]
    titles = heads.mark_text(fontWeight=600, baseline="bottom", aria=False, limit=120).encode(
        y=alt.Y("above:Q", scale=heights, axis=None), text="name:N"
    )
    brush = alt.selection_interval(name="brush", zoom=False)
    return finished(
        alt.layer(rules, lines.add_params(brush), submitted, *labels, titles).add_params(*_linked()), width, 320
    )


def _linked() -> list[Any]:
    import altair as alt

    return [alt.param(name="picked", value=[]), alt.param(name="hovered", value=-2)]
