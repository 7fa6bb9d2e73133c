"""One row of the baseline/optimized/change table, and the note of a missing figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.submission.quantities import MISSING, with_interval

__all__ = ["Figure", "Note", "Value", "row", "value"]


@dataclass(frozen=True)
class Value:
    """A figure as text, and the bounds of its interval, "" where there is none."""

    text: str
    bounds: str = ""

    @property
    def full(self) -> str:
        """The figure with its interval: "97.8 % [95.7, 98.9]"."""
        return f"{self.text} {self.bounds}".rstrip()


@dataclass(frozen=True)
class Figure:
    """One row; `tone` (good, bad or "") is that of the change, and details are for the long reports only."""

    name: str
    baseline: Value
    optimized: Value
    change: Value = Value("")
    tone: str = ""
    is_detail: bool = False


@dataclass(frozen=True)
class Note:
    """Why a figure is missing: the name of its row, the side (baseline, optimized, or "" for both) and the reason."""

    name: str
    side: str
    reason: str

    @property
    def text(self) -> str:
        """The note as a line below the table."""
        return f"{MISSING} {self.name}{', ' if self.side else ''}{self.side}: {self.reason}"


def row(
    name: str, sides: Iterable[Value], change: Value = Value(""), *, tone: str = "", is_detail: bool = False
) -> Figure:
    """Return a row from the figures of both models."""
    baseline, optimized = sides
    return Figure(name, baseline, optimized, change, tone, is_detail)


def value(figure: float | None, unit: str, interval: Sequence[float] | None = None) -> Value:
    """Return a figure as text, a dash if it is None."""
    text, bracket, bounds = with_interval(figure, interval, unit).partition(" [")
    return Value(text, f"{bracket}{bounds}".lstrip())
