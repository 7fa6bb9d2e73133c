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
    for place, entry in enumerate((template.data.get("sweep") or {}).get("include") or ()):
        for name, value in entry.items():
            yield AxisValue(axes[axis_path(template.data, name)], value, ("sweep", "include", place, name))


def drawn_values(template: Template) -> Iterator[list[AxisValue]]:
    """Yield for each random axis the distinct values that were drawn for it."""
    axes = {axis.path: axis for axis in template.axes}
    for name in _random_axes(template.data.get("sweep") or {}):
        axis = axes[axis_path(template.data, name)]
        drawn = [part[axis.name] for factor in template.factors for part in factor if axis.name in part]
        distinct = {text_of(value): value for value in drawn}.values()
        yield [AxisValue(axis, value, ("sweep", "random", "axes", name)) for value in distinct]


def _lists(sweep: Mapping[str, JSON]) -> Iterator[tuple[Path, str, list[JSON]]]:
    for key in ("grid", "zip"):
        for name, values in (sweep.get(key) or {}).items():
            yield ("sweep", key, name), name, values
    for name, distribution in _random_axes(sweep).items():
        for kind, values in distribution.items():
            if values is not None:
                yield ("sweep", "random", "axes", name, kind), name, values


def _random_axes(sweep: Mapping[str, JSON]) -> Mapping[str, Mapping[str, JSON]]:
    random = sweep.get("random")
    return random["axes"] if random else {}
