"""Products too large to be made: counted, and listed where little is left of them."""

from __future__ import annotations

import tracemalloc

import pytest

from pipeline.core import exclusion
from pipeline.core.exclusion import Exclusion
from pipeline.core.sweep import count, expand, grid_factor, unmatched


def test_a_product_of_10_to_the_12_is_counted() -> None:
    """Without making a point: exclusions are subtracted exactly, inclusions that are new are added."""
    factors = [grid_factor(name, range(100)) for name in "abcdef"]
    base = dict.fromkeys("abcdefg", 0)
    exclude = [{"a": 0}, {"a": 0, "b": 0}, {"b": 1, "c": 1}, {"b": 1, "c": 2, "f": 7}]
    left = 99 * (100**5 - 100**3 - 100**2)
    assert count(factors, exclude, (), base) == left
    assert count(factors, exclude, [{"a": 0}, {"g": 1}, {"g": 1}, {"a": 5}], base) == left + 2
    assert unmatched(factors, [*exclude, {"a": 100}, {"a": 1, "f": 100}], base) == [4, 5]


def test_the_little_that_is_left_of_a_huge_product_is_listed() -> None:
    """Prefixes that lead to no point are not made, though it is the last factor that excludes them."""
    factors = [grid_factor(name, range(20)) for name in "abcde"]
    exclude = [{"e": value} for value in range(19)]
    exclude += [{name: value, "e": 19} for name in "abc" for value in range(1, 20)]
    tracemalloc.start()
    points = expand(factors, exclude)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(points) == count(factors, exclude) == 20
    assert points[3] == {"a": 0, "b": 0, "c": 0, "d": 3, "e": 19}
    assert peak < 2e6


def test_an_excluded_everything_is_nothing() -> None:
    """Also by an axis that only the base gives a value."""
    factors = [grid_factor("a", range(10))]
    for exclude in ([{"b": 0}], [{"a": value} for value in range(10)]):
        assert expand(factors, exclude, base={"a": 0, "b": 0}) == ()
        assert count(factors, exclude, base={"a": 0, "b": 0}) == 0


def test_an_exclusion_on_the_base_needs_its_value() -> None:
    """Another value of an axis that nothing varies excludes nothing."""
    factors = [grid_factor("a", [1, 2])]
    assert len(expand(factors, [{"b": 1, "a": 1}], base={"b": 0})) == 2
    assert len(expand(factors, [{"b": 0, "a": 1}], base={"b": 0})) == 1


def test_exclusions_that_overlap_in_too_many_ways_are_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is then that of the whole product; the points are still right."""
    factors = [grid_factor(name, range(3)) for name in "abcz"]
    entries = [{name: 0, "z": index} for index, name in enumerate("abc")]
    exact = Exclusion(factors, entries, {}).survivors()
    monkeypatch.setattr(exclusion, "_MOST_WORK", 1)
    limited = Exclusion(factors, entries, {})
    assert limited.survivors() == 81
    assert len(limited.points()) == exact == 81 - 27


def test_exclusions_that_ask_the_same_of_the_rest_are_counted_together() -> None:
    """Not by the 2^10 ways in which a point can have values of them."""
    factors = [grid_factor(name, range(50)) for name in "abcdefghijz"]
    exclude = [{name: value, "z": 0} for name in "abcdefghij" for value in range(25)]
    assert count(factors, exclude) == 49 * 50**10 + 25**10
