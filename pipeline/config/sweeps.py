"""What a schema cannot say about a sweep: axes that lead nowhere or overlap, lists that do not fit, too many points.

Points are counted here and never made, so that a sweep of 10^12 points is refused at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from pipeline.config.finding import Finding, found, nearest_value
from pipeline.config.paths import Path, PathError, format_path
from pipeline.config.schema import fill, keys_at
from pipeline.config.template import SWEEPABLE, Template, axis_path
from pipeline.config.variables import mentions, uses
from pipeline.core.draw import could_be
from pipeline.core.experiment import JSON
from pipeline.core.search import rungs, search_of
from pipeline.core.sweep import Factor, Point, unmatched
from pipeline.core.value import canonical, text_of

__all__ = ["SWEEP_RULES", "point_problems"]

_PRODUCT = ("grid", "zip", "random", "search")  # the parts of a sweep whose axes every point has
_ALONE = ("grid", "zip", "random", "exclude", "include")  # what a search does not go with


def _axes(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every axis of the sweep varies something, and something of its own."""
    swept: dict[Path, Path] = {}  # what is varied -> where that is written first
    for place, name in _axis_places(_mapping(data.get("sweep"))):
        kind, is_key = place[1], place[-1] == name
        try:
            path = axis_path(data, name)
        except PathError as error:
            yield Finding("E124", place, str(error), at_key=is_key)
            continue
        if kind in _PRODUCT and path in swept:
            yield Finding("E124", place, f"{format_path(swept[path])} varies this already", at_key=is_key)
        around = [other for other in swept if other != path and path[: len(other)] == other[: len(path)]]
        if around and kind != "exclude":
            message = f"this and {swept[around[0]][-1]} overlap: one replaces the other"
            yield Finding("E124", place, message, at_key=is_key)
            continue
        if kind == "exclude" and path not in swept:
            message = "the sweep does not vary this, so nothing can be excluded by it"
            yield Finding("E124", place, message, at_key=True)
        swept.setdefault(path, place)
    yield from _swept_whole(data, swept)
    yield from _hidden(data, {path: place for path, place in swept.items() if place[1] != "exclude"})


def _axis_places(sweep: Mapping[str, JSON]) -> Iterator[tuple[Path, str]]:
    """Yield where a sweep names axes, and their names: as keys, and that of a resource as a value."""
    search = _mapping(sweep.get("search"))
    mappings: list[tuple[Path, JSON]] = [
        (("sweep", "grid"), sweep.get("grid")),
        (("sweep", "zip"), sweep.get("zip")),
        (("sweep", "random", "axes"), _mapping(sweep.get("random")).get("axes")),
        (("sweep", "search", "axes"), search.get("axes")),
    ]
    for key in ("include", "exclude"):
        mappings += [(("sweep", key, index), entry) for index, entry in enumerate(_list(sweep.get(key)))]
    for where, entry in mappings:
        yield from (((*where, name), name) for name in _mapping(entry))
        name = _mapping(search.get("resource")).get("axis") if where[1] == "search" else None
        if isinstance(name, str):
            yield ("sweep", "search", "resource", "axis"), name


def _hidden(data: Mapping[str, JSON], swept: Mapping[Path, Path]) -> Iterator[Finding]:
    """No axis sets for good what another one, a variable, is to vary."""
    for path, place in swept.items():
        if path[0] != "vars":
            continue
        name = str(path[1])
        needed = [where for where, variable in mentions(data) if variable == name]
        for other, other_place in swept.items():
            # A condition stays with the place of its step, whatever is put there.
            covered = [where for where in needed if where[: len(other)] == other and where[2:3] != ("when",)]
            is_always_set = place[1] in _PRODUCT and other_place[1] in _PRODUCT  # then the other may win at some uses
            if covered and (covered == needed or not is_always_set):
                message = f'{format_path(other)} takes its value from "${{{name}}}", which the sweep varies too'
                yield Finding("E124", other_place, message, "vary one of the two", at_key=True)


def _together(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Lists that advance together are equally long."""
    lists = {name: value for name, value in _mapping(_mapping(data.get("sweep")).get("zip")).items() if value}
    lengths = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
    if len(set(lengths.values())) < 2:
        return
    usual = max(lengths.values(), key=list(lengths.values()).count)
    first = next(name for name in lengths if lengths[name] == usual)
    for name, length in lengths.items():
        if length != usual:
            message = f"the lists of zip advance together: this one has {_number(length, 'value')}, {first} has {usual}"
            yield Finding("E129", ("sweep", "zip", name), message)


def _random(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every axis that is drawn, at random or by a search, has one distribution, its bounds in order."""
    sweep = _mapping(data.get("sweep"))
    axes = {kind: _mapping(_mapping(sweep.get(kind)).get("axes")) for kind in ("random", "search")}
    for kind, name, value in ((kind, name, value) for kind, entry in axes.items() for name, value in entry.items()):
        path: Path = ("sweep", kind, "axes", name)
        known = keys_at(path)
        if not isinstance(value, dict) or any(key not in known for key in value):
            continue
        given = [key for key in known if value.get(key) is not None]
        if len(given) != 1:
            yield Finding("E129", path, f"an axis is drawn by exactly one of {', '.join(known)}")
        for key in given:
            bounds = value[key]
            is_range = key != "choice" and isinstance(bounds, list) and len(bounds) == 2
            if is_range and all(map(_is_number, bounds)) and not bounds[0] < bounds[1]:
                message = f"the range is [low, high], but {bounds[0]:g} is not below {bounds[1]:g}"
                yield Finding("E129", (*path, key), message)


def _search(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """A search stands alone; its resource is for halving, which has no batches."""
    sweep = _mapping(data.get("sweep"))
    search, place = _mapping(sweep.get("search")), ("sweep", "search")
    if not search:
        return
    for key in _ALONE:
        if sweep.get(key):
            message = f"a search chooses the points itself; {key} cannot stand beside it"
            yield Finding("E135", ("sweep", key), message, at_key=True)
    is_halving, resource = search.get("strategy") == "halving", search.get("resource")
    if is_halving and resource is None:
        hint = "resource: {axis: model.train.epochs, min: 2, max: 18}"
        yield Finding("E135", (*place, "strategy"), "halving needs a resource beside it", hint)
    if not is_halving and resource is not None:
        message = "resource has no effect here: it is for strategy: halving"
        yield Finding("E119", (*place, "resource"), message, at_key=True)
    if is_halving and search.get("batch") is not None:
        message = "batch has no effect here: halving draws all points at once"
        yield Finding("E119", (*place, "batch"), message, at_key=True)
    ends: list[JSON] = [_mapping(resource).get(key) for key in ("min", "max")]
    if all(map(_is_number, ends)) and not ends[0] < ends[1]:
        low, high = ends
        message = f"the resource grows from min to max, but {low:g} is not below {high:g}"
        yield Finding("E135", (*place, "resource", "min"), message)


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _swept_whole(data: Mapping[str, JSON], swept: Mapping[Path, Path]) -> Iterator[Finding]:
    """Variables that a sweep varies are used by runs only, not by what belongs to the experiment as a whole."""
    names = {path[1] for path in swept if path[0] == "vars"}
    for path, name in uses(data):
        if name in names and path[0] not in SWEEPABLE:
            yield Finding("E124", path, f"the sweep varies {name}, and {path[0]} belongs to the experiment as a whole")


def point_problems(template: Template, seeds: int, max_points: int) -> Iterator[Finding]:
    """Yield what is wrong with the number of points: too many, none, or excludes without effect."""
    if template.searched:
        yield from _trial_problems(template, seeds, max_points)
        return
    if template.count * seeds > max_points:
        message = f"{_sum(template, seeds)}: more than max_points: {max_points:,}"
        yield Finding("E125", ("sweep",), message, "set sweep.max_points if you mean it", at_key=True)
        return
    if not template.count:
        yield Finding("E126", ("sweep", "exclude"), "everything is excluded; no point is left", at_key=True)
    for index in unmatched(template.factors, template.exclude, template.base):
        entry = template.exclude[index]
        if not any(name in template.draws and could_be(template.draws[name], entry[name]) for name in entry):
            yield _matches_nothing(template, entry, ("sweep", "exclude", index))


def _trial_problems(template: Template, seeds: int, max_points: int) -> Iterator[Finding]:
    """Yield that a search may evaluate too many points."""
    spec = search_of({"sweep": fill(template.data["sweep"], ("sweep",))})
    if spec is None or spec.most_points * seeds <= max_points:
        return
    text = " + ".join(f"{rung.points:,}" for rung in rungs(spec))
    text = f"{text} = {_points(spec.most_points)}" if text else f"{spec.trials:,} trials"
    text += f" x {seeds} seeds = {spec.most_points * seeds:,}" if seeds > 1 else ""
    message = f"{text}: more than max_points: {max_points:,}"
    yield Finding("E125", ("sweep",), message, "set sweep.max_points if you mean it", at_key=True)


def _sum(template: Template, seeds: int) -> str:
    """Return how the number of points comes about: "4 sparsity x 3 bits x 100 random = 1,200 points"."""
    lengths = zip(template.lengths, template.factors, strict=True)
    text = " x ".join(f"{length:,} {_called(template, factor)}" for length, factor in lengths)
    product = math.prod(map(len, template.factors)) if text else 0
    repeated = math.prod(template.lengths) - product if text else 0
    excluded = product - (template.count - template.added) if text else 0
    text += f" - {repeated:,} repeated" if repeated else ""
    text += f" - {excluded:,} excluded" if excluded else ""
    text += f"{' + ' if text else ''}{template.added:,} included" if template.added else ""
    text += f" = {_points(template.count)}" if text else _points(template.count)
    return f"{text} x {seeds} seeds = {template.count * seeds:,}" if seeds > 1 else text


def _called(template: Template, factor: Factor) -> str:
    if next(iter(factor[0])) in template.draws:
        return "random"
    return next(iter(factor[0])) if len(factor[0]) == 1 else f"zip ({', '.join(factor[0])})"


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number:,} points"


def _matches_nothing(template: Template, entry: Point, path: Path) -> Finding:
    """Return the finding for an exclude that no point matches: which value is wrong, and what it may have been."""
    for name, value in entry.items():
        values = [part[name] for factor in template.factors if name in factor[0] for part in factor]
        values = values or [template.base[name]]
        if text_of(canonical(value)) not in map(text_of, values):
            values = list({text_of(item): item for item in values}.values())
            shown = ", ".join(map(found, values[:10])) + (", ..." if len(values) > 10 else "")
            message = f"no point of the sweep has {name}: {found(value)}{nearest_value(value, values)}"
            return Finding("E126", path, message, f"values of {name}: {shown}")
    return Finding("E126", path, "no point of the sweep has these values together")


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _mapping(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


# Rules for the document as written.
SWEEP_RULES: tuple[Callable[[Mapping[str, JSON]], Iterator[Finding]], ...] = (_axes, _together, _random, _search)
