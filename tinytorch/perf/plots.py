"""Two small SVG figures, drawn without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

__all__ = ["bar_chart", "scatter_plot"]

WIDTH, HEIGHT, MARGIN = 640, 400, 60
STYLE = "font-family='sans-serif' font-size='12'"


def bar_chart(title: str, unit: str, bars: Mapping[str, tuple[float, float, float]]) -> str:
    """Draw one bar from zero for each name: (value, low, high), low to high as a line."""
    top = max((high for _, _, high in bars.values()), default=0.0) or 1.0
    step = (WIDTH - 2 * MARGIN) / max(len(bars), 1)
    parts = [_text(WIDTH / 2, 24, f"{title} ({unit})")]
    for i, (name, (value, low, high)) in enumerate(bars.items()):
        x, y = MARGIN + step * (i + 0.2), _up(value / top)
        middle = x + step * 0.3
        parts += [
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{step * 0.6:.1f}' height='{_up(0) - y:.1f}' fill='#4c78a8'/>",
            f"<path d='M{middle:.1f} {_up(low / top):.1f} V{_up(high / top):.1f}' stroke='#222'/>",
            _text(middle, y - 6, f"{value:.4g}"),
            _text(middle, HEIGHT - MARGIN + 18, name),
        ]
    return _figure(parts)


def scatter_plot(x_label: str, y_label: str, points: Mapping[str, tuple[float, float]]) -> str:
    """Draw one named point for each (x, y); both axes start at zero."""
    right = max((x for x, _ in points.values()), default=0.0) or 1.0
    top = max((y for _, y in points.values()), default=0.0) or 1.0
    parts = [_text(WIDTH / 2, HEIGHT - 16, x_label), _text(MARGIN, 24, y_label)]
    for name, (x, y) in points.items():
        across, up = MARGIN + x / right * (WIDTH - 2 * MARGIN), _up(y / top)
        label = f"{name} ({x:.4g}, {y:.4g})"
        parts += [f"<circle cx='{across:.1f}' cy='{up:.1f}' r='5' fill='#4c78a8'/>", _text(across, up - 10, label)]
    return _figure(parts)


def _up(share: float) -> float:
    return HEIGHT - MARGIN - max(0.0, share) * (HEIGHT - 2 * MARGIN)


def _text(x: float, y: float, text: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='middle' {STYLE}>{escape(text)}</text>"


def _figure(parts: list[str]) -> str:
    axes = (
        f"<path d='M{MARGIN} {MARGIN} V{HEIGHT - MARGIN} H{WIDTH - MARGIN}' fill='none' stroke='#222'/>"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='none'/>"
    )
    body = "\n".join([axes, *parts])
    return f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'>\n{body}\n</svg>\n"
