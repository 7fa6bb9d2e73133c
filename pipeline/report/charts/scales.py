"""What charts share: ticks written as the report writes its figures, round values, and how a chart fills its room."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["BYTES", "COUNT", "DURATION", "PERCENT", "RATIO", "finished", "line_at", "powers_of_two", "round_values"]

# Vega expressions that write an axis's value; they hold no text of a submission.
BYTES = (
    "datum.value >= 1048576 ? format(datum.value / 1048576, '.3~g') + ' MiB'"
    " : datum.value >= 1024 ? format(datum.value / 1024, '.3~g') + ' KiB' : format(datum.value, '.3~g') + ' B'"
)
COUNT = "format(datum.value, '.3~s')"
DURATION = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, '.3~g') + ' s'"
    " : datum.value >= 1e6 ? format(datum.value / 1e6, '.3~g') + ' ms'"
    " : datum.value >= 1e3 ? format(datum.value / 1e3, '.3~g') + ' µs' : format(datum.value, '.3~g') + ' ns'"
)
# An axis that leaves room beyond 0 or 100 % has no ticks there.
PERCENT = "datum.value < 0 || datum.value > 1.000001 ? '' : format(datum.value * 100, '.4~g') + ' %'"
RATIO = "format(datum.value, ',.3~r') + 'x'"


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` round values between `low` and `high`, for a logarithmic axis: 1, 2, 5 times powers of ten.

    Powers of ten alone where there would be more.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    inside = [value for value in values if low <= value <= high]
    if len(inside) <= most:
        return inside
    decades = [value for value in inside if math.isclose(math.log10(value) % 1, 0, abs_tol=1e-9)]
    return decades[:: max(1, math.ceil(len(decades) / most))]


def powers_of_two(low: float, high: float, most: int = 4) -> list[float]:
    """Return at most `most` powers of two between `low` and `high`, evenly spaced on a logarithmic axis."""
    powers = list(range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1))
    return [2.0**power for power in powers[:: max(1, math.ceil(len(powers) / most))]]


def line_at(value: float, scale: Any, table: str) -> Any:
    """Return a dashed line at a value of the horizontal axis, over rows of a table of which it takes none."""
    import altair as alt

    one_row = alt.Chart(alt.NamedData(table)).transform_aggregate(rows="count()")
    line = one_row.mark_rule(strokeDash=[4, 4], color="@ink", opacity=0.7, aria=False)
    return line.encode(x=alt.datum(value, type="quantitative", scale=scale))


def finished(chart: Any, width: Any, height: int) -> dict[str, Any]:
    """Return the specification of a chart with its size; one as wide as its container takes its axes from that."""
    sized = chart.properties(width=width, height=height)
    if width == "container":
        sized = sized.properties(autosize={"type": "fit-x", "contains": "padding"})
    made: dict[str, Any] = sized.to_dict(validate=False)  # tests do, which takes half a second
    return made
