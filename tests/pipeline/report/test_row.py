"""A figure of a table and its interval."""

from __future__ import annotations

import pytest

from pipeline.report.row import Value, value


@pytest.mark.parametrize(
    ("figure", "unit", "interval", "expected"),
    [
        (0.9777, "share", [0.957, 0.989], Value("97.8 %", "[95.7, 98.9]")),
        (1.00002, "ratio", [0.9997, 1.0003], Value("1.0000x", "[0.9997, 1.0003]")),
        (1.53, "ratio", None, Value("1.53x")),
        (None, "ns", [1, 2], Value("–")),
    ],
)
def test_a_figure_stands_once_before_its_interval(
    figure: float | None, unit: str, interval: list[float] | None, expected: Value
) -> None:
    """However many decimals the interval needs."""
    assert value(figure, unit, interval) == expected
