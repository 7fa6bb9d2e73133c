"""The values that a sweep gives to its axes, and where in the file each is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.config.paths import Path
from pipeline.config.template import Axis, Template, axis_path
from pipeline.core.experiment import JSON
from pipeline.core.value import text_of

__all__ = ["AxisValue", "drawn_values", "written_values"]


class AxisValue(NamedTuple):
    """A value of an axis and the path of its place below `sweep`; a drawn value is placed at its distribution."""

    axis: Axis
    value: JSON
    written: Path


def written_values(template: Template) -> Iterator[AxisValue]:
    """Yield the values that stand in the file, the bounds of random axes among them."""
    axes = {axis.path: axis for axis in template.axes}
    for path, name, values in _lists(template.data.get("sweep") or {}):
        axis = axes[axis_path(template.data, name)]
        for index, value in enumerate(values):
            yield AxisValue(axis, value, (*path, index))
    resource = ((template.data.get("sweep") or {}).get("search") or {}).get("resource") or {}
    for key in ("min", "max") if resource else ():
        axis = axes[axis_path(template.data, resource["axis"])]
        yield AxisValue(axis, resource[key], ("sweep", "search", "resource", key))
    for place, entry in enumerate((template.data.get("sweep") or {}).get("include") or ()):
        for name, value in entry.items():
            yield AxisValue(axes[axis_path(template.data, name)], value, ("sweep", "include", place, name))


def drawn_values(template: Template) -> Iterator[list[AxisValue]]:
    """Yield for each axis that is drawn, at random or by a search, distinct values that may be drawn for it."""
    axes = {axis.path: axis for axis in template.axes}
    sweep = template.data.get("sweep") or {}
    for kind in ("random", "search"):
        for name in _drawn_axes(sweep, kind):
            axis = axes[axis_path(template.data, name)]
            parts = template.examples if kind == "search" else (part for factor in template.factors for part in factor)
            distinct = {text_of(part[axis.name]): part[axis.name] for part in parts if axis.name in part}.values()
            yield [AxisValue(axis, value, ("sweep", kind, "axes", name)) for value in distinct]


def _lists(sweep: Mapping[str, JSON]) -> Iterator[tuple[Path, str, list[JSON]]]:
    for key in ("grid", "zip"):
        for name, values in (sweep.get(key) or {}).items():
            yield ("sweep", key, name), name, values
    for drawn in ("random", "search"):
        for name, distribution in _drawn_axes(sweep, drawn).items():
            for kind, values in distribution.items():
                if values is not None:
                    yield ("sweep", drawn, "axes", name, kind), name, values


def _drawn_axes(sweep: Mapping[str, JSON], kind: str) -> Mapping[str, Mapping[str, JSON]]:
    part = sweep.get(kind)
    return part["axes"] if part else {}
