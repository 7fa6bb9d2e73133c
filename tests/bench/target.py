"""A measured figure and the target it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """`measured` with `interval`, in `unit`; it holds when it is at most `limit` (or, with `at_least`, at least)."""

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
        sign = ">=" if target.at_least else "<="
        verdict = "holds" if target.holds else "MISSED"
        lines.append(
            f"{verdict:<7} {target.what:<52} {target.measured:8.2f} {target.unit} [{low:.2f}, {high:.2f}]"
            f"  target {sign} {target.limit:g} {target.unit}"
        )
    return "\n".join(lines)
