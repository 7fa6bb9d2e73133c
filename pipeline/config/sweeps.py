"""What a schema cannot say about a sweep: axes that lead nowhere or overlap, lists that do not fit, too many points.

Points are counted here and never made, so that a sweep of 10^12 points is refused at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from pipeline.config.finding import Finding, found, nearest_value
from pipeline.config.paths import Path, PathError, format_path
from pipeline.config.schema import keys_at
from pipeline.config.template import SWEEPABLE, Template, axis_path
from pipeline.config.variables import mentions, uses
from pipeline.core.draw import could_be
from pipeline.core.experiment import JSON
from pipeline.core.sweep import Factor, Point, unmatched
from pipeline.core.value import canonical, text_of

__all__ = ["SWEEP_RULES", "point_problems"]

_PRODUCT = ("grid", "zip", "random")  # the parts of a sweep whose axes every point has


def _axes(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every axis of the sweep varies something, and something of its own."""
    swept: dict[Path, Path] = {}  # what is varied -> where that is written first
    for where, entry in _axis_places(_mapping(data.get("sweep"))):
        kind = where[1]
        for name in entry:
            place = (*where, name)
            try:
                path = axis_path(data, name)
            except PathError as error:
                yield Finding("E124", place, str(error), at_key=True)
                continue
            if kind in _PRODUCT and path in swept:
                yield Finding("E124", place, f"{format_path(swept[path])} varies this already", at_key=True)
            around = [other for other in swept if other != path and path[: len(other)] == other[: len(path)]]
            if around and kind != "exclude":
                message = f"this and {swept[around[0]][-1]} overlap: one replaces the other"
                yield Finding("E124", place, message, at_key=True)
                continue
            if kind == "exclude" and path not in swept:
                message = "the sweep does not vary this, so nothing can be excluded by it"
                yield Finding("E124", place, message, at_key=True)
            swept.setdefault(path, place)
    yield from _swept_whole(data, swept)
    yield from _hidden(data, {path: place for path, place in swept.items() if place[1] != "exclude"})


def _axis_places(sweep: Mapping[str, JSON]) -> Iterator[tuple[Path, Mapping[str, JSON]]]:
    """Yield the mappings of a sweep whose keys are axes, and their paths."""
    yield ("sweep", "grid"), _mapping(sweep.get("grid"))
    yield ("sweep", "zip"), _mapping(sweep.get("zip"))
    yield ("sweep", "random", "axes"), _mapping(_mapping(sweep.get("random")).get("axes"))
    for key in ("include", "exclude"):
        for index, entry in enumerate(_list(sweep.get(key))):
            yield ("sweep", key, index), _mapping(entry)


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
    """Every random axis has one distribution, its bounds in order."""
    random = _mapping(_mapping(data.get("sweep")).get("random"))
    for name, value in _mapping(random.get("axes")).items():
        path: Path = ("sweep", "random", "axes", name)
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
SWEEP_RULES: tuple[Callable[[Mapping[str, JSON]], Iterator[Finding]], ...] = (_axes, _together, _random)
