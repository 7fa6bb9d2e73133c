"""The sensitivity of layers as a table for terminals and as a picture: a heat map, one row a layer.

A cell is the change of accuracy on the validation split; its shade is by the rise of the loss, which also moves where
no prediction does. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from pipeline.report.text import Cell, Table, printable, wrap
from pipeline.submission.quantities import quantity

__all__ = ["picture", "table"]

_CELL, _ROW, _LEFT, _TOP, _CHARACTER = 108, 34, 24, 96, 7.4
_SHADES = ("#f3f6f4", "#fde7c8", "#fbc98a", "#f39b57", "#d9622b", "#9f2f16")
# Rises of the loss (nats) from which the next shade is taken; ln 10 is what guessing among ten classes costs.
_STEPS = (0.005, 0.02, 0.1, 0.5, 2.0)
_WHITE_FROM = 4


def table(found: Mapping[str, Any], width: int, *, colour: bool) -> str:
    """Return the table: for each layer its size, then for each change accuracy and loss against the baseline."""
    base = found["baseline"]
    by_place = {(trial["layer"], trial["change"]): trial for trial in found["trials"]}
    rows: list[list[Cell]] = []
    reasons: dict[str, list[str]] = {}
    for layer in found["layers"]:
        cells = [Cell(printable(layer["name"])), Cell(quantity(layer["bytes"], "B"))]
        for change in found["changes"]:
            trial = by_place.get((layer["name"], change))
            cells.append(_cell(trial, base))
            reason = trial["reason"] if trial else f"{_kind_of(change)} is not for layers of type {layer['kind']}"
            if reason and not any(layer["name"] in names for names in reasons.values()):
                reasons.setdefault(reason, []).append(layer["name"])
        rows.append(cells)
    header = ("layer", "size", *found["changes"])
    lines = [
        "one layer changed at a time, nothing trained afterwards; the baseline on the "
        f"{found['validation_items']} validation items: {quantity(base['accuracy'], 'share')}, loss {base['loss']:.3f}",
        "each cell: change of accuracy in points, (change of loss)",
        "",
        *Table(header, rows, right=range(1, len(header))).lines(width, colour),
        *(
            line
            for reason, names in reasons.items()
            for line in wrap(printable(f"{', '.join(names)}: {reason}"), width, "  – ", "    ")
        ),
    ]
    return "\n".join(lines)


def picture(name: str, found: Mapping[str, Any]) -> str:
    """Return the heat map as an SVG document that needs nothing else."""
    base = found["baseline"]
    left = _LEFT + max(len(layer["name"]) for layer in found["layers"]) * _CHARACTER + 20 if found["layers"] else _LEFT
    rows = {layer["name"]: place for place, layer in enumerate(found["layers"])}
    places = {change: place for place, change in enumerate(found["changes"])}
    width, height = left + len(places) * _CELL + _LEFT, _TOP + len(rows) * _ROW + 58
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>Sensitivity of the layers of {escape(printable(name))}</title>",
        f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>',
        _text(_LEFT, 30, f"{name}: one layer changed at a time", size=17, weight=600),
        _text(
            _LEFT,
            52,
            f"change of validation accuracy, in points (baseline {quantity(base['accuracy'], 'share')}); "
            "shade: rise of the loss",
            fill="#555555",
        ),
    ]
    parts += [_text(left + (at + 0.5) * _CELL, _TOP - 12, change, anchor="middle") for change, at in places.items()]
    parts += [_text(left - 12, _TOP + (at + 0.62) * _ROW, layer, anchor="end") for layer, at in rows.items()]
    for trial in found["trials"]:
        parts.append(_square(trial, base, left + places[trial["change"]] * _CELL, _TOP + rows[trial["layer"]] * _ROW))
    parts += [*_legend(left, _TOP + len(rows) * _ROW + 22), "</svg>"]
    return "\n".join(parts) + "\n"


def _kind_of(change: str) -> str:
    return "this way to prune" if change.startswith("prune") else "this change"


def _cell(trial: Mapping[str, Any] | None, base: Mapping[str, Any]) -> Cell:
    if trial is None or trial["quality"] is None:
        return Cell("–", "dim")
    gain, rise = trial["quality"]["accuracy"] - base["accuracy"], trial["quality"]["loss"] - base["loss"]
    return Cell(f"{_points(gain)} ({rise:+.3f})", ("", "", "", "warn", "bad", "bad")[_shade(rise)])


def _square(trial: Mapping[str, Any], base: Mapping[str, Any], x: float, y: float) -> str:
    made = trial["quality"]
    if made is None:
        dash = _text(x + _CELL / 2, y + 0.62 * _ROW, "–", anchor="middle", fill="#777777")
        return f"<g><title>{escape(printable(trial['reason']))}</title>{dash}</g>"
    rise = made["loss"] - base["loss"]
    shade = _shade(rise)
    told = f"{trial['layer']}, {trial['change']}: loss {rise:+.4f}, stored {quantity(made['stored_bytes'], 'B')}"
    fill = "#ffffff" if shade >= _WHITE_FROM else "#222222"
    gain = _points(made["accuracy"] - base["accuracy"])
    return (
        f'<g><title>{escape(printable(told))}</title><rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{_CELL - 2}" '
        f'height="{_ROW - 2}" rx="3" fill="{_SHADES[shade]}"/>'
        f"{_text(x + _CELL / 2, y + 0.62 * _ROW, gain, anchor='middle', fill=fill)}</g>"
    )


def _legend(left: float, y: float) -> list[str]:
    parts = [_text(left - 12, y + 12, "loss", anchor="end", fill="#555555", size=12)]
    words = ["less", *(f"≥ +{step:g}" for step in _STEPS)]
    for place, (shade, word) in enumerate(zip(_SHADES, words, strict=True)):
        parts.append(f'<rect x="{left + place * 88:.1f}" y="{y}" width="14" height="14" rx="2" fill="{shade}"/>')
        parts.append(_text(left + place * 88 + 19, y + 12, word, fill="#555555", size=12))
    return parts


def _text(x: float, y: float, words: str, **look: Any) -> str:
    kept = {
        "text-anchor": look.get("anchor", "start"),
        "fill": look.get("fill", "#222222"),
        **({"font-size": look["size"]} if "size" in look else {}),
        **({"font-weight": look["weight"]} if "weight" in look else {}),
    }
    attributes = " ".join(f'{name}="{value}"' for name, value in kept.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(printable(words))}</text>'


def _points(gain: float) -> str:
    return quantity(gain, "points").removesuffix(" points")


def _shade(rise: float) -> int:
    if not math.isfinite(rise):
        return len(_STEPS)
    return sum(rise >= step for step in _STEPS)
