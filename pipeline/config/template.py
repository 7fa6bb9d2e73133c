"""An experiment file as a template: its values, and the axes along which a sweep varies them.

From a template and a point come the values of one run, section by section. A section is made once for each combination
of the axes that reach it, so that a thousand points do not cost a thousand documents.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from pipeline.config.paths import Path, PathError, format_path, get_or_none, locate, parse_path, replaced
from pipeline.config.schema import fill, keys_at, node_at, order_of
from pipeline.config.variables import LITERAL_KEYS, mentions, substitute, uses
from pipeline.core.experiment import JSON
from pipeline.core.sweep import Factor, Point, canonical, count, expand, random_factor, zip_factor
from pipeline.core.value import text_of

__all__ = [
    "Axis",
    "SWEEPABLE",
    "Template",
    "axis_path",
    "make_template",
    "per_point",
    "reaches",
    "resolve",
    "target_path",
    "value_at",
]

SWEEPABLE = ("benchmark", "data", "model", "optimize", "vars")  # the others belong to the experiment as a whole

T = TypeVar("T")


@dataclass(frozen=True)
class Axis:
    """One thing that varies: its name as written in the sweep, and the path of the value it replaces."""

    name: str
    path: Path


@dataclass(frozen=True)
class Template:
    """A document's values (overrides applied, defaults not filled) and its sweep, axes in the order of their effect.

    `draws` has the distribution of each random axis; `lengths` has for each factor the number of values that the file
    asks for, repetitions counted. `searched` has the distribution of each axis that is searched, `resource` the name of
    the one that halving gives out: the points of a search are not known here, only examples of them.
    """

    data: Mapping[str, JSON]
    axes: tuple[Axis, ...]
    factors: tuple[Factor, ...]
    exclude: tuple[Point, ...]
    include: tuple[Point, ...]
    draws: Mapping[str, Mapping[str, JSON]]
    lengths: tuple[int, ...]
    searched: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    resource: str | None = None

    @cached_property
    def base(self) -> Point:
        """What the axes' values are without a sweep."""
        if not self.axes:
            return {}
        filled = fill(resolve(self, (), {}))
        return {axis.name: canonical(get_or_none(filled, axis.path)) for axis in self.axes}

    @cached_property
    def count(self) -> int:
        """The number of points, found without making them."""
        return count(self.factors, self.exclude, self.include, self.base)

    @cached_property
    def repeated(self) -> int:
        """The number of points that the file asks for more than once, each repetition counted."""
        rows = math.prod(self.lengths) - math.prod(map(len, self.factors))
        return rows + len(self.include) - self.added

    @cached_property
    def added(self) -> int:
        """The number of points that `include` adds."""
        return self.count - (
            count(self.factors, self.exclude, (), self.base) if self.factors or not self.include else 0
        )

    def points(self) -> tuple[Point, ...]:
        """Return all points, in order."""
        return self._points

    @cached_property
    def _points(self) -> tuple[Point, ...]:
        if self.searched:
            return ()
        return expand(self.factors, self.exclude, self.include, self.base)

    @cached_property
    def examples(self) -> tuple[Point, ...]:
        """Points to check: all there are, or of a search some that have every choice of every axis."""
        if not self.searched:
            return self._points
        known_as = {axis.name: format_path(axis.path) for axis in self.axes}
        choices = {name: each["choice"] for name, each in self.searched.items() if "choice" in each}
        ranges = {name: (known_as[name], each) for name, each in self.searched.items() if name not in choices}
        number = max([_FEWEST_EXAMPLES, *map(len, choices.values())])
        drawn = random_factor(ranges, number, 0) if ranges else ({},)
        rows = ({**self.base, **drawn[i % len(drawn)], **_turn(choices, i)} for i in range(number))
        return tuple({text_of(row): row for row in rows}.values())


_FEWEST_EXAMPLES = 20


def _turn(choices: Mapping[str, Sequence[JSON]], number: int) -> Point:
    return {name: canonical(values[number % len(values)]) for name, values in choices.items()}


def make_template(data: Mapping[str, JSON]) -> Template:
    """Return the template of a document's values. Raises PathError for an axis that leads nowhere."""
    sweep = fill(data.get("sweep") or {}, ("sweep",))
    grid, together, random = sweep["grid"], sweep.get("zip") or {}, sweep.get("random") or {"axes": {}, "samples": 1}
    search = sweep.get("search") or {"axes": {}}
    resource = [search["resource"]["axis"]] if search.get("resource") else []
    parts: list[Mapping[str, JSON]] = [{name: grid[name]} for name in grid] + [together, random["axes"]]
    names = [name for entry in (*parts, *sweep["include"], search["axes"], resource) for name in entry]
    paths = {name: axis_path(data, name) for name in names}
    ordered = _ordered_axes(data, paths)
    by_path = {axis.path: axis.name for axis in ordered}

    def point(entry: Mapping[str, JSON]) -> Point:
        return {by_path.get(axis_path(data, name), name): value for name, value in entry.items()}

    order = [axis.name for axis in ordered]
    draws = {name: _distribution(value) for name, value in point(random["axes"]).items()}
    factors: list[tuple[Factor, int]] = []
    for part in map(point, parts[:-1]):
        lists = {name: part[name] for name in order if name in part}
        factors += [(zip_factor(lists), len(next(iter(lists.values()))))] if lists else []
    if draws:
        known_as = {axis.name: format_path(axis.path) for axis in ordered}
        axes = {name: (known_as[name], draws[name]) for name in order if name in draws}
        factors.append((random_factor(axes, random["samples"], random["seed"]), random["samples"]))
    factors.sort(key=lambda factor: min(map(order.index, factor[0][0])))
    return Template(
        data=data,
        axes=ordered,
        factors=tuple(factor for factor, _ in factors),
        exclude=tuple(map(point, sweep["exclude"])),
        include=tuple(map(point, sweep["include"])),
        draws=draws,
        lengths=tuple(length for _, length in factors),
        searched={name: _distribution(value) for name, value in point(search["axes"]).items()},
        resource=next(iter(point(dict.fromkeys(resource))), None),
    )


def _ordered_axes(data: Mapping[str, JSON], paths: Mapping[str, Path]) -> tuple[Axis, ...]:
    """Return the axes in the order of their effect; a second spelling of the same path is the same axis."""
    axes: dict[Path, Axis] = {}
    for name, path in paths.items():
        axes.setdefault(path, Axis(name, path))
    first_use: dict[str, tuple[tuple[int, str], ...]] = {}
    for path, variable in mentions(data):
        first_use[variable] = min(order_of(path), first_use.get(variable, order_of(path)))
    return tuple(sorted(axes.values(), key=lambda axis: _effect_order(axis.path, first_use)))


def _distribution(value: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return a distribution without the keys that are null, its numbers in one notation."""
    return {key: canonical(item) for key, item in value.items() if item is not None}


def axis_path(data: Mapping[str, JSON], name: str) -> Path:
    """Return the path of the value that an axis varies. Raises PathError with the nearest name if there is none."""
    path = target_path(data, name)
    if path[0] in keys_at(()) and path[0] not in SWEEPABLE:
        raise PathError(f"{path[0]} belongs to the experiment as a whole and cannot be swept")
    if path[:1] + path[2:3] == ("optimize", "when"):
        raise PathError("the condition of a step cannot be swept; sweep what it asks for")
    if path == ("optimize",):
        raise PathError("the list of steps cannot be swept as a whole; sweep one step, such as optimize[0]")
    is_known = path[:2] in {("vars", variable) for variable in _variables(data)} or path[0] != "vars"
    if path[0] not in SWEEPABLE or not is_known or node_at(path) is None:
        raise PathError(f'"{name}" is neither one of vars nor the path of a setting{_nearest(data, name, path)}')
    replaced(data, path, None)  # raises where the path goes through something that is no mapping
    return path


def target_path(data: Mapping[str, JSON], name: str) -> Path:
    """Return the path that a name on the command line or in a sweep means: a variable, else a dotted path."""
    if name in _variables(data) and name not in keys_at(()):
        return ("vars", name)
    return locate(data, parse_path(name))


def resolve(template: Template, prefix: Path, point: Point, origins: dict[Path, Path] | None = None) -> JSON:
    """Return the value at a path under a point: axes set and variables replaced, defaults not filled.

    `origins`, if given, receives where the values of variables are written.
    """
    data: JSON = template.data
    for axis in sorted(template.axes, key=lambda axis: len(axis.path)):
        value = point.get(axis.name)
        if value is not None or (axis.name in point and get_or_none(data, axis.path) is not None):
            data = replaced(data, axis.path, value)  # null where there is nothing is what the file says
    variables = _variables(data)
    if prefix:
        return substitute(get_or_none(data, prefix), variables, prefix, origins)
    return {
        key: value if key in LITERAL_KEYS else substitute(value, variables, (key,), origins)
        for key, value in data.items()
    }


def per_point(template: Template, prefix: Path, make: Callable[[JSON], T]) -> Callable[[Point], T]:
    """Return a function from a point to what `make` makes of the section at a path, its defaults filled.

    Points that agree in all axes that reach the section get the very same value.
    """
    names = [axis.name for axis in template.axes if reaches(template, axis.path, prefix)]
    made: dict[tuple[object, ...], T] = {}

    def at(point: Point) -> T:
        key = tuple([_hashable(point[name]) for name in names])
        if key not in made:
            value = resolve(template, prefix, point)
            made[key] = make(fill({} if value is None and prefix[0] != "vars" else value, prefix))
        return made[key]

    return at


def value_at(template: Template, path: Path) -> Callable[[Point], JSON]:
    """Return a function from a point to the value that a setting or variable has there, None where it has none."""
    depth = 2 if path[0] in ("optimize", "vars") else 1
    return per_point(template, path[:depth], lambda section: canonical(get_or_none(section, path[depth:])))


def _hashable(value: JSON) -> object:
    """Return something hashable that is equal for equal values only: True is not 1 here."""
    return (json.dumps(value, sort_keys=True),) if isinstance(value, bool | dict | list) else value


def reaches(template: Template, path: Path, prefix: Path) -> bool:
    """Return whether an axis with this path can change anything in the section at `prefix`."""
    shared = min(len(path), len(prefix))
    if path[:shared] == prefix[:shared]:
        return True
    return path[0] == "vars" and path[1] in {name for _, name in uses(get_or_none(template.data, prefix), prefix)}


def _variables(data: Mapping[str, JSON]) -> Mapping[str, JSON]:
    variables = data.get("vars")
    return variables if isinstance(variables, dict) else {}


def _effect_order(
    path: Path, first_use: Mapping[str, tuple[tuple[int, str], ...]]
) -> tuple[tuple[tuple[int, str], ...], Path]:
    """Return the sort key of an axis: where it first takes effect, whatever the order of keys."""
    if path[0] != "vars":
        return order_of(path), ()
    never = ((len(keys_at(())), ""),)
    return first_use.get(str(path[1]), never), path


def _nearest(data: Mapping[str, JSON], name: str, path: Path) -> str:
    """Return the end of a message: the nearest variable or key, and what there is."""
    variables = list(_variables(data))
    depth = next((length for length in range(len(path)) if node_at(path[: length + 1]) is None), 0)
    parent = path[:depth]
    choices = [f"{format_path(parent)}.{key}" for key in keys_at(parent)] if parent and parent != ("vars",) else []
    near = difflib.get_close_matches(name, variables, n=1) or difflib.get_close_matches(format_path(path), choices, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    if choices:
        return f"{hint} ({format_path(parent)} has {', '.join(keys_at(parent))})"
    return f"{hint} (vars has {', '.join(variables) or 'nothing'})"
