"""Random values: the same everywhere, readable, inside their bounds, and each by itself."""

from __future__ import annotations

import pytest

from pipeline.core.draw import DISTRIBUTIONS, could_be, sampler
from pipeline.core.experiment import JSON

# The first six values under seed 7 for the axis "vars.x". They are part of what an experiment file means.
GOLDEN: list[tuple[dict[str, JSON], list[JSON]]] = [
    ({"uniform": [0, 1]}, [0.4501, 0.7079, 0.1192, 0.1777, 0.2936, 0.3603]),
    ({"uniform": [0.3, 0.9]}, [0.57, 0.7248, 0.3715, 0.4066, 0.4761, 0.5162]),
    ({"uniform": [-200, 10.5]}, [-105.26, -50.98, -174.91, -162.58, -138.21, -124.16]),
    ({"log_uniform": [1e-4, 1e-2]}, [0.0007946, 0.002606, 0.0001731, 0.0002267, 0.0003865, 0.0005255]),
    ({"log_uniform": [1, 1000]}, [22.4, 133.0, 2.278, 3.414, 7.598, 12.04]),
    ({"integers": [-3, 3]}, [0, 1, -3, -2, -1, -1]),
    ({"choice": ["adam", "sgd", True, [8]]}, ["sgd", True, "adam", "adam", "sgd", "sgd"]),
]


def draws(distribution: dict[str, JSON], count: int, seed: int = 0, axis: str = "a") -> list[JSON]:
    draw = sampler(distribution, seed, axis)
    return [draw(number) for number in range(count)]


@pytest.mark.parametrize(("distribution", "expected"), GOLDEN)
def test_values_are_the_same_on_every_platform(distribution: dict[str, JSON], expected: list[JSON]) -> None:
    """A file with a seed names its points for good; a change here changes what published files mean."""
    assert draws(distribution, 6, 7, "vars.x") == expected


def test_every_distribution_has_golden_values() -> None:
    """A new one needs a line above."""
    assert {name for distribution, _ in GOLDEN for name in distribution} == set(DISTRIBUTIONS)


def test_a_value_depends_on_seed_axis_and_number_only() -> None:
    """In whatever order, and however many, values are asked for."""
    draw = sampler({"uniform": [0, 1]}, 3, "lr")
    backwards = [draw(number) for number in range(9, -1, -1)]
    assert backwards[::-1] == draws({"uniform": [0, 1]}, 10, 3, "lr")
    assert draws({"uniform": [0, 1]}, 5, 4, "lr") != backwards[:4:-1]
    assert draws({"uniform": [0, 1]}, 5, 3, "x") != backwards[:4:-1]


@pytest.mark.parametrize(
    "bounds",
    [
        [0, 1],
        [-1e-5, 1e300],
        [1e-300, 1.0],
        [0.1 + 0.2, 0.3000000000000001],
        [1e16, 1.0000000000000002e16],
        [5e-324, 1e-323],
        [0.00005, 1],
    ],
)
@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
def test_rounding_never_leaves_the_bounds(kind: str, bounds: list[float]) -> None:
    """Also where a bound has more digits than the values."""
    if kind == "log_uniform" and bounds[0] <= 0:
        bounds = [5e-324, bounds[1]]
    assert all(bounds[0] <= value <= bounds[1] for value in draws({kind: bounds}, 200))


def test_drawn_values_are_short() -> None:
    """Four digits or five where the range is as large as its numbers."""
    for bounds in ([0, 1], [0.3, 0.9], [1e-4, 2e-4], [10, 300]):
        assert all(float(f"{value:.5g}") == value for value in draws({"uniform": bounds}, 100))
    assert all(float(f"{value:.4g}") == value for value in draws({"log_uniform": [1e-6, 10]}, 200))


def test_values_are_spread_over_the_range() -> None:
    """Each tenth of the range, of the exponents, of the whole numbers and of the choices has its share."""
    for distribution in ({"uniform": [0, 10]}, {"integers": [0, 9]}, {"choice": list(range(10))}):
        counts = [0] * 10
        for value in draws(distribution, 2000):
            counts[min(int(value), 9)] += 1
        assert all(140 < count < 260 for count in counts), distribution
    exponents = [len(str(int(value))) for value in draws({"log_uniform": [1, 10_000]}, 2000)]
    assert all(400 < exponents.count(digits) < 600 for digits in range(1, 5))


def test_both_ends_of_integers_are_drawn() -> None:
    """The range is closed."""
    assert set(draws({"integers": [4, 6]}, 50)) == {4, 5, 6}


def test_what_could_be_drawn() -> None:
    """Any number between the bounds, whole ones of integers, the very values of a choice."""
    assert could_be({"uniform": [0.1, 0.9]}, 0.5)
    assert not could_be({"uniform": [0.1, 0.9]}, 1)
    assert not could_be({"uniform": [0, 2]}, True)
    assert could_be({"integers": [1, 9]}, 4)
    assert not could_be({"integers": [1, 9]}, 4.5)
    assert could_be({"choice": ["a", 1]}, 1)
    assert not could_be({"choice": ["a", 1]}, True)
    assert not could_be({"choice": ["a", 1]}, "1")
