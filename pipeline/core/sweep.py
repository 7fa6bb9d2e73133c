"""The algebra of sweeps: (product of factors) − exclude + include, as pure functions over points.

A point is a mapping from axis to value. A factor is a list of partial points: a grid axis is a factor whose points have
one key each; values that go together (zip) or are drawn (random) are factors whose points have several. No axis is in
two factors. What an axis means in a document is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.draw import sampler
from pipeline.core.exclusion import Exclusion
from pipeline.core.experiment import JSON
from pipeline.core.value import canonical, text_of

__all__ = [
    "Factor",
    "Point",
    "canonical",
    "count",
    "expand",
    "grid_factor",
    "label",
    "random_factor",
    "short_names",
    "unmatched",
    "zip_factor",
]

Point = Mapping[str, JSON]
Factor = tuple[Point, ...]


def grid_factor(name: str, values: Iterable[JSON]) -> Factor:
    """Return the factor of a grid axis: one partial point for each value, without repetitions."""
    return zip_factor({name: list(values)})


def zip_factor(values: Mapping[str, Sequence[JSON]]) -> Factor:
    """Return the factor of axes that advance together, lists of one length; partial points without repetitions."""
    rows = zip(*([canonical(item) for item in items] for items in values.values()), strict=True)
    return _distinct(dict(zip(values, row, strict=True)) for row in rows)


def random_factor(axes: Mapping[str, tuple[str, Mapping[str, JSON]]], samples: int, seed: int) -> Factor:
    """Return the factor of axes that are drawn at random (pipeline.core.draw), without repetitions.

    `axes` gives for each the name it is drawn under, which is not changed by how the axis is spelt, and its
    distribution.
    """
    draws = {name: sampler(distribution, seed, known_as) for name, (known_as, distribution) in axes.items()}
    return _distinct({name: canonical(draw(number)) for name, draw in draws.items()} for number in range(samples))


def _distinct(points: Iterable[Point]) -> Factor:
    return tuple({text_of(point): point for point in points}.values())


def count(
    factors: Sequence[Factor], exclude: Sequence[Point] = (), include: Sequence[Point] = (), base: Point | None = None
) -> int:
    """Return how many points `expand` returns, without making them: 10^12 are counted as fast as ten.

    Thousands of entries of `exclude` that overlap in thousands of ways are not subtracted; then it is a bound.
    """
    product = Exclusion(factors, exclude, base or {}).survivors() if factors or not include else 0
    return product + len(_added(factors, exclude, include, base or {}))


def expand(
    factors: Sequence[Factor], exclude: Sequence[Point] = (), include: Sequence[Point] = (), base: Point | None = None
) -> tuple[Point, ...]:
    """Return the points in order, the last factor varying fastest, each once.

    `base` gives the values of axes that a point does not name. With neither factors nor `include` there is one point,
    the base; with `include` only, those are the points. What is excluded is never made.
    """
    start = dict(base or {})
    product = Exclusion(factors, exclude, start).points() if factors or not include else []
    return (*product, *_added(factors, exclude, include, start))


def _added(
    factors: Sequence[Factor], exclude: Sequence[Point], include: Sequence[Point], base: Point
) -> tuple[Point, ...]:
    """Return the points of `include` that the product, what is excluded left out, does not have."""
    if not include:
        return ()
    product = Exclusion(factors, exclude, base) if factors else None
    points = _distinct({**base, **{name: canonical(value) for name, value in entry.items()}} for entry in include)
    return tuple(point for point in points if product is None or point not in product)


def unmatched(factors: Sequence[Factor], entries: Sequence[Point], base: Point | None = None) -> list[int]:
    """Return which entries (by index) no point of the product has all the values of."""
    reached = Exclusion(factors, entries, base or {}).reached() if factors else 0
    return [index for index in range(len(entries)) if not reached >> index & 1]


def label(point: Point, names: Mapping[str, str], seed: int | None = None) -> str:
    """Return a point in words, such as "sparsity=0.5 bits=8"; `names` says which axes to show, and how they are called.

    A seed is given where an experiment has several. Points with different values have different labels.
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


def _word(value: JSON) -> str:
    """Return a value as a label shows it: a text is quoted only where it could be taken for something else."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if not isinstance(value, str):
        return text
    is_clear = value.isprintable() and not any(char in value for char in ' ="[{') and not _is_json(value)
    return value if is_clear and value else text


def _is_json(text: str) -> bool:
    """Return whether a text reads as a number, true, false or null."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
