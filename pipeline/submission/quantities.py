"""Figures as people read them: shares in percent, bytes in KiB, durations in µs, ratios as 1.53x.

Every text about a result (reasons of a goal's status, terminal, Markdown, HTML) writes its numbers with these
functions, so that one figure looks the same everywhere. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = ["MISSING", "UNITS", "limit_text", "p_value_text", "quantity", "with_interval"]

MISSING = "–"  # a figure that is null; its reason stands below the table

_HUGE = 1e12  # whatever is written by a stranger must not fill the page with digits

# (divisor, what follows the number, decimals) for values around the given one
Scale = tuple[float, str, int]
_DURATIONS = ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns"))
_ENERGIES = ((1.0, " J"), (1e-3, " mJ"), (1e-6, " µJ"))
_FREQUENCIES = ((1e9, " GHz"), (1e6, " MHz"))
_SIZES = ((2.0**40, " TiB"), (2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"))


def quantity(value: float | None, unit: str) -> str:
    """Return a figure with its unit: 0.9778 as "share" is "97.8 %", 85402 as "B" is "83.4 KiB", None is a dash."""
    if value is None:
        return MISSING
    divisor, suffix, decimals = UNITS[unit](value)
    return _number(value / divisor, decimals, unit) + suffix


def with_interval(value: float | None, interval: Sequence[float] | None, unit: str) -> str:
    """Return a figure and its interval in the same scale: "97.8 % [95.7, 98.9]", "61.2 µs [60.9, 61.5]"."""
    if value is None or interval is None:
        return quantity(value, unit)
    divisor, suffix, decimals = UNITS[unit](value)
    if unit == "ratio":
        decimals = _telling(decimals, interval[1] - interval[0])
    low, high = (_number(bound / divisor, decimals if abs(bound / divisor) < 1000 else 0, unit) for bound in interval)
    return f"{_number(value / divisor, decimals, unit)}{suffix} [{low}, {high}]"


def _telling(decimals: int, width: float) -> int:
    """Return with how many decimals the bounds of a ratio near 1 are not all the same number, at most five."""
    while 2 < decimals < 5 and 0 < width * 10**decimals < 3:
        decimals += 1
    return decimals


def limit_text(value: float, unit: str) -> str:
    """Return a limit without a sign; of shares and points all decimals that somebody wrote, at most five: "0.25 %"."""
    divisor, suffix, decimals = UNITS[unit](value)
    if unit in ("share", "points"):
        exact = value / divisor
        decimals = next((n for n in range(decimals, 5) if math.isclose(round(exact, n), exact, rel_tol=1e-9)), 5)
    return _number(value / divisor, decimals, unit).removeprefix("+") + suffix


def p_value_text(p_value: float) -> str:
    """Return a p-value with as many decimals as matter, at least "p < 0.001"."""
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.{3 if p_value < 0.1 else 2}f}"


def _number(value: float, decimals: int, unit: str) -> str:
    if not abs(value) < _HUGE:
        return f"{value:.2e}"
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text.removeprefix("-")
    return f"+{text}" if unit == "points" and value > 0 else text


def _three_digits(value: float) -> int:
    """Return how many decimals show three significant digits, at most four and for 1000 and more none."""
    if value == 0 or not math.isfinite(value):
        return 0
    magnitude = math.floor(math.log10(abs(value)))
    if round(abs(value), 2 - magnitude) >= 10 ** (magnitude + 1):  # 9.996 is shown as 10.0
        magnitude += 1
    return min(max(2 - magnitude, 0), 4)


def _scaled(value: float, table: Sequence[tuple[float, str]], smallest: tuple[float, str]) -> Scale:
    divisor, suffix = next((pair for pair in table if abs(value) >= pair[0]), smallest)
    return divisor, suffix, _three_digits(value / divisor)


def _bytes(value: float) -> Scale:
    return (1.0, " B", 0) if abs(value) < 1024 else _scaled(value, _SIZES, _SIZES[-1])


def _nanoseconds(value: float) -> Scale:
    return _scaled(value, _DURATIONS, _DURATIONS[-1])


def _milliseconds(value: float) -> Scale:
    divisor, suffix, decimals = _nanoseconds(value * 1e6)
    return divisor / 1e6, suffix, decimals


# unit -> how values around the given one are written
UNITS: dict[str, Callable[[float], Scale]] = {
    "B": _bytes,
    "Hz": lambda value: _scaled(value, _FREQUENCIES, _FREQUENCIES[-1]),
    "J": lambda value: _scaled(value, _ENERGIES, _ENERGIES[-1]),
    "count": lambda value: (1.0, "", 0),
    "ms": _milliseconds,
    "ns": _nanoseconds,
    "per_s": lambda value: (1.0, "/s", _three_digits(value)),
    "perplexity": lambda value: (1.0, "", _three_digits(value)),
    "points": lambda value: (0.01, " points", 2),
    "ratio": lambda value: (1.0, "x", 3 if 0.95 <= value <= 1.05 else min(_three_digits(value), 2)),
    "share": lambda value: (0.01, " %", 1),
}
