"""MLPerf's early stopping as a table: the least number of passing queries for each percentile and over-latency count.

Computed without the code under test and without the incomplete beta function: binomial sums, term by term, with 60
digits. Every term is positive, so nothing cancels, and `_margin` makes sure that no entry hangs on the last digits.
"""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from pathlib import Path

__all__ = ["FILE", "MOST_OVER", "PERCENTILES", "as_text", "early_stopping"]

FILE = Path(__file__).with_name("early_stopping.json")
PERCENTILES = ("0.5", "0.9", "0.95", "0.97", "0.99", "0.999")
MOST_OVER = 100
_TAIL = Decimal("0.01")  # MLPerf's confidence of 0.99
_DIGITS = 60
_MARGIN = Decimal("1e-40")


def early_stopping() -> dict[str, list[int]]:
    """Return percentile -> for 0, 1, … 100 queries over the limit the least number within it."""
    with localcontext() as context:
        context.prec = _DIGITS
        return {text: _column(Decimal(text)) for text in PERCENTILES}


def as_text(table: dict[str, list[int]]) -> str:
    """Return the content of the golden file."""
    rows = ",\n".join(f" {json.dumps(text)}: {json.dumps(column)}" for text, column in table.items())
    return f"{{\n{rows}\n}}\n"


def _column(p: Decimal) -> list[int]:
    found: list[int] = []
    for over in range(MOST_OVER + 1):
        low = found[-1] - 1 if found else 0  # too few for one less over the limit, so too few here
        step = max(1, low // (over or 1))
        high = low + step
        while not _is_enough(high, over, p):
            low, high = high, high + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _is_enough(middle, over, p) else (middle, high)
        found.append(high)
    return found


def _is_enough(within: int, over: int, p: Decimal) -> bool:
    """Say whether P(at most `over` of within + over exceed the limit) <= 0.01, each with chance 1 - p."""
    n, odds = within + over, (1 - p) / p
    term = total = p**n
    for k in range(over):
        term *= odds * (n - k) / (k + 1)
        total += term
    if abs(total - _TAIL) < _MARGIN:
        raise ArithmeticError(f"{_DIGITS} digits do not decide p={p}, {within} within and {over} over the limit")
    return total <= _TAIL
