"""Conditions of steps: `when: {bits: [8, 4]}` leaves a step out at points where bits is neither 8 nor 4.

A condition names variables or paths, each with the value it must have, a list of values it may have, or `{not: ...}`
with either; all must hold. That is all there is: what a file does can be seen without evaluating anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.config.axes import AxisValue
from pipeline.config.finding import Finding, found, nearest_value
from pipeline.config.paths import Path, PathError
from pipeline.config.template import Axis, Template, axis_path, value_at
from pipeline.config.variables import malformed, uses
from pipeline.core.experiment import JSON
from pipeline.core.sweep import Point
from pipeline.core.value import canonical, text_of

__all__ = ["asked", "condition_findings", "idle_findings", "presence", "swept_condition", "without_broken"]


class _Test(NamedTuple):
    """What one entry of a condition asks for."""

    name: str
    values: tuple[tuple[Path, JSON], ...]  # where below the entry each is written
    texts: frozenset[str]
    is_negated: bool

    def holds(self, value: JSON) -> bool:
        """Return whether a (canonical) value is among those asked for."""
        return (text_of(value) in self.texts) != self.is_negated


def presence(template: Template) -> Callable[[Point], tuple[bool, ...]]:
    """Return a function from a point to whether each step takes place there.

    A condition belongs to the place of its step: it holds for whatever an axis of the sweep puts there.
    """
    tests = [_tests(step) for step in _steps(template.data)]
    at = {test.name: value_at(template, axis_path(template.data, test.name)) for each in tests for test in each}
    if not at:
        everywhere = (True,) * len(tests)
        return lambda point: everywhere
    return lambda point: tuple([all(test.holds(at[test.name](point)) for test in each) for each in tests])


def asked(data: Mapping[str, JSON]) -> Iterator[AxisValue]:
    """Yield all values that conditions ask for; their names must lead somewhere."""
    for place, step in enumerate(_steps(data)):
        for test in _tests(step):
            axis = Axis(test.name, axis_path(data, test.name))
            for below, value in test.values:
                yield AxisValue(axis, value, ("optimize", place, "when", test.name, *below))


def without_broken(data: Mapping[str, JSON], is_clean: Callable[..., bool]) -> Mapping[str, JSON]:
    """Return the document without the conditions in which `is_clean(*path)` says that something was found."""
    steps = _steps(data)
    broken = {place for place in range(len(steps)) if not is_clean("optimize", place, "when")}
    if not any(isinstance(step, dict) and "when" in step and place in broken for place, step in enumerate(steps)):
        return data
    kept = [
        {key: item for key, item in step.items() if key != "when"}
        if place in broken and isinstance(step, dict)
        else step
        for place, step in enumerate(steps)
    ]
    return {**data, "optimize": kept}


def swept_condition(value: AxisValue) -> Iterator[Finding]:
    """Yield that a step which is the value of an axis has a condition of its own."""
    axis, step, written = value
    if axis.path[0] == "optimize" and len(axis.path) == 2 and isinstance(step, dict) and "when" in step:
        message = "a step of the sweep has no condition of its own; that of the step it replaces counts"
        yield Finding("E120", (*written, "when"), message, at_key=True)


def condition_findings(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Yield what is wrong with conditions as they are written."""
    for place, step in enumerate(_steps(data)):
        condition = step.get("when") if isinstance(step, dict) else None
        for name, test in condition.items() if isinstance(condition, dict) else ():
            path: Path = ("optimize", place, "when", name)
            try:
                axis_path(data, name)
            except PathError as error:
                yield Finding("E120", path, str(error), at_key=True)
            if isinstance(test, dict) and list(test) != ["not"]:
                message = "a condition is a value, a list of values, or {not: ...} with either"
                yield Finding("E120", path, message, "a value that is a mapping itself stands in a list")
            elif test in ([], {"not": []}):
                yield Finding("E120", path, "this names no value")
            for where, reference in (*uses(test, path), *malformed(test, path)):
                yield Finding("E122", where, f"values below when are plain; they cannot refer to {reference}")


def idle_findings(template: Template, points: Sequence[Point]) -> Iterator[Finding]:
    """Yield the conditions that hold at no point although the sweep varies what they ask for.

    Without a sweep, or with one value set on the command line, a step may well be switched off.
    """
    if not any("when" in step for step in _steps(template.data) if isinstance(step, dict)):
        return
    present = presence(template)
    taken = [False] * len(_steps(template.data))
    for point in points:
        taken = [before or here for before, here in zip(taken, present(point), strict=True)]
    for place, step in enumerate(_steps(template.data)):
        for test in _tests(step) if not taken[place] else ():
            at = value_at(template, axis_path(template.data, test.name))
            values = {text_of(value): value for value in map(at, points)}
            if len(values) > 1 and not any(map(test.holds, values.values())):
                near = nearest_value(test.values[0][1], list(values.values()))
                message = f"this holds at no point, so the step would never take place{near}"
                shown = ", ".join(found(value) for value in list(values.values())[:10])
                more = ", ..." if len(values) > 10 else ""
                yield Finding("E120", ("optimize", place, "when", test.name), message, f"values there: {shown}{more}")


def _steps(data: Mapping[str, JSON]) -> list[JSON]:
    steps = data.get("optimize")
    return steps if isinstance(steps, list) else []


def _tests(step: JSON) -> tuple[_Test, ...]:
    condition = step.get("when") if isinstance(step, dict) else None
    return tuple(_test(name, value) for name, value in condition.items()) if isinstance(condition, dict) else ()


def _test(name: str, value: JSON) -> _Test:
    is_negated = isinstance(value, dict) and list(value) == ["not"]
    start: Path = ("not",) if is_negated else ()
    inner = value["not"] if is_negated else value
    items = [((*start, i), item) for i, item in enumerate(inner)] if isinstance(inner, list) else [(start, inner)]
    return _Test(name, tuple(items), frozenset(text_of(canonical(item)) for _, item in items), is_negated)
