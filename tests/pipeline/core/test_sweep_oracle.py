"""The sweep algebra against an enumeration that is too simple to be wrong."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence

import pytest

from pipeline.core.experiment import JSON
from pipeline.core.sweep import Factor, Point, canonical, count, expand, random_factor, unmatched, zip_factor

# Values that are easily confused.
VALUES: list[JSON] = [0, 1, 1.0, True, False, None, "1", "true", "", 0.5, -0.0, [1], [1.0], [True], {"a": 1}, 2, 3]
BASE = {"a": 0, "b": 1, "c": True, "d": "1", "e": None, "f": [1]}


def same(first: JSON, second: JSON) -> bool:
    return json.dumps(canonical(first), sort_keys=True) == json.dumps(canonical(second), sort_keys=True)


def oracle(factors: Sequence[Factor], exclude: Sequence[Point], include: Sequence[Point], base: Point) -> list[Point]:
    """Return what `expand` should: every combination is made, compared with every entry and with every point before."""
    points: list[Point] = []
    for parts in itertools.product(*factors) if factors or not include else ():
        point = {**base, **{name: value for part in parts for name, value in part.items()}}
        if not any(all(same(point[name], value) for name, value in entry.items()) for entry in exclude):
            points.append(point)
    points += [{**base, **entry} for entry in include]
    kept: list[Point] = []
    for point in points:
        if not any(all(same(point[name], other[name]) for name in base) for other in kept):
            kept.append(point)
    return kept


def sweep(seed: int) -> tuple[list[Factor], list[Point], list[Point]]:
    """Return a small random sweep over the axes of BASE: factors of one to three axes, excludes and includes."""
    rng = random.Random(seed)
    names = rng.sample(list(BASE), rng.randint(0, len(BASE)))
    factors: list[Factor] = []
    while names:
        own = [names.pop() for _ in range(min(len(names), rng.choice([1, 1, 2, 3])))]
        length = rng.randint(1, 4)
        if rng.random() < 0.3:
            factors.append(random_factor({n: (n, {"choice": rng.sample(VALUES, 3)}) for n in own}, length, seed))
        else:
            factors.append(zip_factor({name: [rng.choice(VALUES) for _ in range(length)] for name in own}))

    def entry() -> Point:
        chosen = rng.sample(list(BASE), rng.randint(1, 3))
        in_use = [part for factor in factors for part in factor]
        return {
            name: rng.choice([part[name] for part in in_use if name in part] or [BASE[name], rng.choice(VALUES)])
            for name in chosen
        }

    return factors, [entry() for _ in range(rng.randint(0, 5))], [entry() for _ in range(rng.randint(0, 3))]


@pytest.mark.parametrize("block", range(8))
def test_points_are_those_of_the_oracle(block: int) -> None:
    """The same points in the same order, counted right without being made."""
    for seed in range(block * 50, block * 50 + 50):
        factors, exclude, include = sweep(seed)
        expected = oracle(factors, exclude, include, BASE)
        found = expand(factors, exclude, include, BASE)
        assert [json.dumps(canonical(p), sort_keys=True) for p in found] == [
            json.dumps(canonical(p), sort_keys=True) for p in expected
        ], seed
        assert count(factors, exclude, include, BASE) == len(expected), seed


@pytest.mark.parametrize("block", range(4))
def test_entries_that_match_nothing_are_those_of_the_oracle(block: int) -> None:
    """Each is held against every point of the whole product."""
    for seed in range(block * 50, block * 50 + 50):
        factors, exclude, _ = sweep(seed)
        if not factors:
            continue
        points = oracle(factors, (), (), BASE)
        matched = [any(all(same(point[n], v) for n, v in entry.items()) for point in points) for entry in exclude]
        assert unmatched(factors, exclude, BASE) == [i for i, is_matched in enumerate(matched) if not is_matched], seed
