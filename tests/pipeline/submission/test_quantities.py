"""Figures as text."""

from __future__ import annotations

import pytest

from pipeline.submission.quantities import limit_text, p_value_text, quantity, with_interval


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.97777, "share", "97.8 %"),
        (1.0, "share", "100.0 %"),
        (1023, "B", "1,023 B"),
        (1024, "B", "1.00 KiB"),
        (85_402, "B", "83.4 KiB"),
        (1_204_000, "B", "1.15 MiB"),
        (61_234, "ns", "61.2 µs"),
        (0.0312, "ms", "31.2 µs"),
        (1_500_000_000, "ns", "1.50 s"),
        (1.526, "ratio", "1.53x"),
        (14.37, "ratio", "14.4x"),
        (9.996, "ratio", "10.0x"),
        (120.4, "ratio", "120x"),
        (0.5, "ratio", "0.50x"),
        (0.9992, "ratio", "0.999x"),
        (-0.00277, "points", "-0.28 points"),
        (0.0031, "points", "+0.31 points"),
        (-1e-9, "points", "0.00 points"),
        (16_321.4, "per_s", "16,321/s"),
        (301_066, "count", "301,066"),
        (0.00213, "J", "2.13 mJ"),
        (4.5e-5, "J", "45.0 µJ"),
        (3_412_000_000, "Hz", "3.41 GHz"),
        (None, "B", "–"),
        (1e300, "B", "9.09e+287 TiB"),
    ],
)
def test_a_quantity_has_a_sensible_unit_and_three_digits(value: float | None, unit: str, text: str) -> None:
    """And never a negative zero, nor a line of digits."""
    assert quantity(value, unit) == text


def test_an_interval_has_the_scale_of_its_figure() -> None:
    """One unit for three numbers."""
    assert with_interval(61_234, [60_900, 61_500], "ns") == "61.2 µs [60.9, 61.5]"
    assert with_interval(0.9777, [0.957, 0.989], "share") == "97.8 % [95.7, 98.9]"
    assert with_interval(1.92, None, "ratio") == "1.92x"
    assert with_interval(9.81, [9.36, 10.18], "ratio") == "9.81x [9.36, 10.18]"
    assert with_interval(4_600, [4_400, 4_069_321], "ns") == "4.60 µs [4.40, 4,069]"


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (1.0004, [1.0001, 1.0007], "1.0004x [1.0001, 1.0007]"),
        (1.00002, [1.00001, 1.00003], "1.00002x [1.00001, 1.00003]"),
        (1.002, [0.992, 1.013], "1.002x [0.992, 1.013]"),
        (1.0, [1.0, 1.0], "1.000x [1.000, 1.000]"),
    ],
)
def test_a_ratio_near_one_shows_on_which_side_it_is(value: float, interval: list[float], text: str) -> None:
    """A verdict must not contradict the figures beside it."""
    assert with_interval(value, interval, "ratio") == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.05, "share", "5.0 %"),
        (0.0025, "share", "0.25 %"),
        (0.00001, "share", "0.001 %"),
        (1 / 3, "share", "33.33333 %"),
        (0.0, "share", "0.0 %"),
        (0.00125, "points", "0.125 points"),
        (40_000, "B", "39.1 KiB"),
    ],
)
def test_a_limit_is_shown_as_it_was_given(value: float, unit: str, text: str) -> None:
    """Rounded, one of 0.001 % would read as if nothing were allowed."""
    assert limit_text(value, unit) == text


@pytest.mark.parametrize(("p", "text"), [(1.0, "p = 1.00"), (0.05, "p = 0.050"), (0.0004, "p < 0.001")])
def test_a_p_value_shows_what_matters(p: float, text: str) -> None:
    """Near the level it has a third decimal."""
    assert p_value_text(p) == text
