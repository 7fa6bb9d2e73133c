"""A measured figure and the target it is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """`measured` with `interval`, in `unit`; it holds when it is at most `limit` (or, with `at_least`, at least).

    An infinite limit is none: the figure is only told.
    """

    what: str
    measured: float
    interval: tuple[float, float]
    limit: float
    unit: str
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the measured value keeps the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def to_json(self) -> dict[str, Any]:
        """Return the figure with its verdict."""
        return {**asdict(self), "holds": self.holds}


def render(targets: Sequence[Target]) -> str:
    """Return one line a target."""
    lines = []
    for target in targets:
        low, high = target.interval
        is_held = math.isfinite(target.limit)
        sign = ">=" if target.at_least else "<="
        verdict = ("holds" if target.holds else "MISSED") if is_held else ""
        wanted = f"  target {sign} {target.limit:g} {target.unit}" if is_held else ""
        lines.append(
            f"{verdict:<7} {target.what:<52} {target.measured:8.3f} {target.unit} [{low:.3f}, {high:.3f}]{wanted}"
        )
    return "\n".join(lines)


def table(targets: Sequence[Target]) -> str:
    """Return the same as a table in Markdown."""
    lines = ["| work | measured | to reach | |", "|---|---|---|---|"]
    for target in targets:
        low, high = target.interval
        is_held = math.isfinite(target.limit)
        wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g} {target.unit}" if is_held else "–"
        verdict = ("holds" if target.holds else "missed") if is_held else ""
        measured = f"{target.measured:.3g} {target.unit} [{low:.3g}, {high:.3g}]"
        lines.append(f"| {target.what} | {measured} | {wanted} | {verdict} |")
    return "\n".join(lines)
