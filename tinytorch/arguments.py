"""Check the arguments that an experiment file gives to a model or a data set.

Every function returns the checked value or raises a ValueError of one line that says what was given and what is valid.
It knows no model and no data set: their tables `ARGS` (name -> default) and their ranges stay with them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["Argument", "choice", "integer", "integers", "number", "with_defaults"]

Argument: TypeAlias = bool | int | float | str | Sequence["Argument"] | Mapping[str, "Argument"] | None


def with_defaults(what: str, defaults: Mapping[str, Argument], given: Mapping[str, Argument]) -> dict[str, Argument]:
    """Return `given` over `defaults`; an unknown name is an error that names the nearest valid one."""
    for name in given:
        if name not in defaults:
            near = difflib.get_close_matches(str(name), defaults, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            valid = ", ".join(sorted(defaults)) or "none"
            raise ValueError(f"{what} has no argument {name!r}{hint} (valid: {valid})")
    return {**defaults, **given}


def integer(name: str, value: Argument, low: int, high: int) -> int:
    """Return `value` if it is an integer in [low, high]; a boolean is not an integer."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")
    return value


def integers(name: str, value: Argument, low: int, high: int, most: int, least: int = 1) -> tuple[int, ...]:
    """Return `value` as a tuple if it is a list of `least` to `most` integers, each in [low, high]."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not least <= len(value) <= most:
        raise ValueError(f"{name} must be a list of {least} to {most} integers, not {value!r}")
    return tuple(integer(f"{name}[{position}]", item, low, high) for position, item in enumerate(value))


def number(name: str, value: Argument, low: float, high: float, below_high: bool = False) -> float:
    """Return `value` as a float if it is a finite number in [low, high], or in [low, high) if `below_high`."""
    text = f"{low:g} <= {name} {'<' if below_high else '<='} {high:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number with {text}, not {value!r}")
    if not low <= value <= high or (below_high and value == high):
        raise ValueError(f"{name} must be a number with {text}, not {value!r}")
    return float(value)


def choice(name: str, value: Argument, valid: Sequence[str]) -> str:
    """Return `value` if it is one of `valid`; the error names the nearest."""
    if isinstance(value, str) and value in valid:
        return value
    near = difflib.get_close_matches(value, valid, n=1) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(valid)}, not {value!r}{hint}")
