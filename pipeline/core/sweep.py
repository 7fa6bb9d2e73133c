"""The algebra of sweeps: (product of factors) − exclude + include, as pure functions over points.

A point is a mapping from axis to value. A factor is a list of partial points: a grid axis is a factor whose points have
one key each; values that go together (zip) or are drawn (random) would be factors whose points have several. What an
axis means in a document is not known here.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.experiment import JSON

__all__ = ["Factor", "Point", "canonical", "expand", "grid_factor", "label", "short_names", "size", "unmatched"]

Point = Mapping[str, JSON]
Factor = tuple[Point, ...]


def grid_factor(name: str, values: Iterable[JSON]) -> Factor:
    """Return the factor of a grid axis: one partial point for each value, without repetitions."""
    return tuple({json.dumps(value, sort_keys=True): {name: value} for value in map(canonical, values)}.values())


def size(factors: Sequence[Factor], include: Sequence[Point] = ()) -> int:
    """Return how many points there are before anything is excluded; counts without enumerating."""
    return (math.prod(len(factor) for factor in factors) if factors or not include else 0) + len(include)


def expand(
    factors: Sequence[Factor], exclude: Sequence[Point] = (), include: Sequence[Point] = (), base: Point | None = None
) -> tuple[Point, ...]:
    """Return the points in order, the last factor varying fastest, each once.

    `base` gives the values of axes that a point does not name. With neither factors nor `include` there is one point,
    the base; with `include` only, those are the points.
    """
    start = dict(base or {})
    points: list[Point] = []
    excluded = _Lookup(exclude)
    for parts in itertools.product(*factors) if factors or not include else ():
        point = dict(start)
        for part in parts:
            point.update(part)
        if not exclude or not excluded.found(point):
            points.append(point)
    if not include:  # the factors repeat nothing, so the product does not either
        return tuple(points)
    points += [{**start, **{name: canonical(value) for name, value in entry.items()}} for entry in include]
    unique: dict[str, Point] = {}
    for each in points:
        unique.setdefault(_text(each), each)
    return tuple(unique.values())


def unmatched(points: Iterable[Point], entries: Sequence[Point]) -> list[int]:
    """Return which entries (by index) no point has all the values of."""
    lookup = _Lookup(entries)
    seen: set[int] = set()
    for point in points:
        seen.update(lookup.found(point))
    return [index for index in range(len(entries)) if index not in seen]


class _Lookup:
    """Entries by their axes and values, so that a point is compared once for each set of axes, not with each entry."""

    def __init__(self, entries: Sequence[Point]) -> None:
        self._by_names: dict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = {}
        for index, entry in enumerate(entries):
            names = tuple(sorted(entry))
            values = tuple(_text(canonical(entry[name])) for name in names)
            self._by_names.setdefault(names, {}).setdefault(values, []).append(index)

    def found(self, point: Point) -> list[int]:
        """Return the entries (by index) all of whose values a point has."""
        found: list[int] = []
        for names, entries in self._by_names.items():
            if all(name in point for name in names):
                found += entries.get(tuple(_text(point[name]) for name in names), ())
        return found


def canonical(value: JSON) -> JSON:
    """Return a value with whole floats as integers, so that 0 and 0.0 are one point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    return value


def label(point: Point, names: Mapping[str, str], seed: int | None = None) -> str:
    """Return a point in words, such as "sparsity=0.5 bits=8"; `names` says which axes to show, and how they are called.

    A seed is given where an experiment has several.
    """
    parts = [] if seed is None else [f"seed={seed}"]
    parts += [f"{short}={_word(point[name])}" for name, short in names.items()]
    return " ".join(parts)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return for each dotted axis name its shortest ending that no other one shares: model.train.lr becomes lr."""
    short = {}
    for name in names:
        parts = name.split(".")
        endings = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        short[name] = next((end for end in endings if sum(_ends(other, end) for other in names) == 1), name)
    return short


def _ends(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def _text(value: JSON) -> str:
    return json.dumps(value, sort_keys=True)


def _word(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
