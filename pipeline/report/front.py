"""Which points no other point beats: the Pareto front over any number of figures of which more is better. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["on_front", "stairs", "worth"]


def worth(point: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return what a point of a selection is on the front for, of which more is better, on the split of the choice."""
    accuracy: float = point["accuracy"]["validation"]["accuracy"]
    return accuracy, -point["stored_bytes"], point["speedup"]["estimate"]


def on_front(points: Sequence[tuple[float, ...]]) -> frozenset[int]:
    """Return the places of the points that no other is at least as good as in everything and better in something.

    Equal points are on the front together. Looked at from the best in the first figure on, so that each has to be
    compared with the front so far only.
    """
    order = sorted(range(len(points)), key=lambda i: points[i], reverse=True)
    front: list[int] = []
    for i in order:
        if not any(_beats(points[j], points[i]) for j in front):
            front.append(i)
    return frozenset(front)


def stairs(points: Sequence[tuple[float, float]]) -> frozenset[int]:
    """Return the places of the points on the front of two figures, of equal ones the first: a line can join them."""
    seen: dict[tuple[float, float], int] = {}
    for i in sorted(on_front(points)):
        seen.setdefault(points[i], i)
    return frozenset(seen.values())


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
