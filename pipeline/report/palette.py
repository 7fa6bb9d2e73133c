"""The colours of the report in both schemes, and the look that all charts share.

Hues are those of Okabe and Ito (2008), which people with any common colour blindness tell apart; the dark scheme has
the same hues, lighter. Charts name colours by token ("@baseline"), so that one chart serves both schemes; whoever draws
it puts the scheme's colours in their place.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CONFIG", "PALETTES", "painted"]

# token -> colour, by scheme; a test asserts that both have the same tokens
PALETTES: dict[str, dict[str, str]] = {
    "light": {
        "@ink": "#1d2125",
        "@soft": "#5d666f",
        "@line": "#dfe2e5",
        "@panel": "#ffffff",
        "@mark": "#8b959e",
        "@baseline": "#5d666f",
        "@control": "#b87c00",
        "@optimized": "#0072b2",
        "@chosen": "#d55e00",
        "@better": "#009e73",
        "@worse": "#d55e00",
        "@same": "#8b959e",
        "@low": "#eef4f9",
        "@high": "#0b4f7d",
        "@on_low": "#1d2125",
        "@on_high": "#ffffff",
        "@third": "#009e73",
        "@fourth": "#cc79a7",
        "@fifth": "#b87c00",
    },
    "dark": {
        "@ink": "#e4e7ea",
        "@soft": "#9aa4ad",
        "@line": "#32383e",
        "@panel": "#1b1f23",
        "@mark": "#7d8892",
        "@baseline": "#aab3bb",
        "@control": "#e69f00",
        "@optimized": "#56b4e9",
        "@chosen": "#ff8a3d",
        "@better": "#35c79b",
        "@worse": "#ff8a3d",
        "@same": "#7d8892",
        "@low": "#22303b",
        "@high": "#a8d8f7",
        "@on_low": "#e4e7ea",
        "@on_high": "#10161b",
        "@third": "#35c79b",
        "@fourth": "#e79cc4",
        "@fifth": "#e69f00",
    },
}

# Vega-Lite's config: how axes, legends and titles look wherever a chart says nothing else.
CONFIG: dict[str, Any] = {
    "background": "@panel",
    "font": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "@mark",
        "gridColor": "@line",
        "tickColor": "@mark",
        "labelColor": "@soft",
        "titleColor": "@soft",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 150,
        "labelOverlap": "greedy",
    },
    "legend": {
        "labelColor": "@ink",
        "titleColor": "@soft",
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
        "symbolSize": 80,
        "symbolStrokeWidth": 3,
        "labelLimit": 220,
    },
    "title": {"color": "@ink", "fontSize": 13, "anchor": "start", "fontWeight": 600, "subtitleColor": "@soft"},
    "text": {"color": "@ink", "fontSize": 12},
    "rule": {"color": "@mark"},
    "mark": {"color": "@optimized"},
}


def painted(value: Any, colours: dict[str, str]) -> Any:
    """Return a JSON value with every text that is a token replaced by its colour."""
    if isinstance(value, dict):
        return {key: painted(item, colours) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [painted(item, colours) for item in value]
    return colours.get(value, value) if isinstance(value, str) else value
