"""Texts that are continued: tokens per second of each model with each kind of cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts.scales import COUNT, finished, round_values

__all__ = ["tokens_per_second"]

Rows = Sequence[Mapping[str, Any]]

_CACHES = ["no cache", "float32", "int8"]
_MODELS = ["baseline", "optimized"]


def tokens_per_second(rows: Rows, width: Any) -> dict[str, Any]:
    """Draw a mark with its interval for each model and kind of cache, on a logarithmic scale."""
    import altair as alt

    ends = min(row["low"] for row in rows) / 1.4, max(row["high"] for row in rows) * 1.4
    scale = alt.Scale(type="log", nice=False, domain=list(ends))
    axis = alt.Axis(title="tokens per second after the first", labelExpr=COUNT, values=round_values(*ends))
    colour = alt.Color(
        "model:N",
        scale=alt.Scale(domain=_MODELS, range=["@baseline", "@optimized"]),
        sort=_MODELS,
        legend=alt.Legend(title=None),
    )
    tip = [alt.Tooltip("model:N"), alt.Tooltip("cache:N"), alt.Tooltip("text:N", title="tokens per second")]
    base = alt.Chart(alt.NamedData("texts")).encode(
        y=alt.Y("cache:N", sort=_CACHES, axis=alt.Axis(title=None, domain=False, ticks=False, labelColor="@ink")),
        yOffset=alt.YOffset("model:N", sort=_MODELS),
    )
    bars = base.mark_bar(height=10, opacity=0.35, cornerRadius=3, aria=False).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", color=colour, tooltip=tip
    )
    marks = base.mark_point(filled=True, size=70, opacity=1, aria=False).encode(
        x=alt.X("rate:Q", scale=scale), color=colour, tooltip=tip
    )
    texts = base.mark_text(dy=-13, fontWeight=600, aria=False).encode(x=alt.X("rate:Q", scale=scale), text="text:N")
    return finished(alt.layer(bars, marks, texts), width, 260)
