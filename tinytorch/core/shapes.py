"""Say what is wrong with shapes and axes: both shapes, where they differ, and what is valid."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["axis_problem", "broadcast_problem", "stack_problem"]

Shape = tuple[int, ...]


def broadcast_problem(symbol: str, left: Shape, right: Shape) -> ValueError:
    """Return the error for an elementwise operation on shapes that do not broadcast."""
    pairs = zip(reversed(left), reversed(right), strict=False)
    place, a, b = next((-1 - i, a, b) for i, (a, b) in enumerate(pairs) if a != b and 1 not in (a, b))
    return ValueError(
        f"Cannot compute {left} {symbol} {right}: axis {place} is {a} on the left and {b} on the right. Counted from "
        "the right, axes must be equal, or 1, or missing on one side; reshape() can add axes of 1."
    )


def axis_problem(what: str, shape: Shape, axis: object) -> ValueError:
    """Return the error for an axis that a shape does not have."""
    valid = f"valid are {-len(shape)} to {len(shape) - 1}" if shape else "a single number has none"
    return ValueError(f"{what}: axis {axis} does not exist in shape {shape}, which has {len(shape)} axes; {valid}.")


def stack_problem(shapes: Sequence[Shape]) -> ValueError:
    """Return the error for tensors that cannot be stacked."""
    place = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
    return ValueError(
        f"Tensors that are stacked need equal shapes, but number 0 has {shapes[0]} and number {place} has "
        f"{shapes[place]}."
    )
