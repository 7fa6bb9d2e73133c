"""The Pareto front, against its definition."""

from __future__ import annotations

import random

from pipeline.report.front import on_front, stairs


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def test_the_front_is_what_no_point_beats() -> None:
    """On grids with many ties, where a sloppy comparison shows."""
    rng = random.Random(0)
    for _ in range(50):
        points = [tuple(float(rng.randrange(4)) for _ in range(3)) for _ in range(30)]
        expected = {i for i, point in enumerate(points) if not any(beats(other, point) for other in points)}
        assert on_front(points) == expected


def test_five_thousand_points_are_compared_in_a_moment() -> None:
    """The most that a submission can hold, most of them beaten."""
    rng = random.Random(1)
    points = [(rng.random(), rng.random(), rng.random()) for _ in range(5000)]
    assert 10 < len(on_front(points)) < 500


def test_of_equal_points_a_line_meets_one() -> None:
    """The first of them."""
    assert stairs([(1.0, 1.0), (1.0, 1.0), (0.5, 2.0), (0.4, 0.4)]) == {0, 2}
