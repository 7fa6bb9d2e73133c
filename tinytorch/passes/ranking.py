"""Which weights or blocks of weights a share to remove leaves: the largest, within a layer or over several together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["largest", "largest_of_all"]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]


def largest(magnitude: Array, sparsity: float) -> Mask:
    """Return the mask of what is kept: all but the round(sparsity · n) smallest, ties in storage order."""
    return _ranked({"": magnitude}, sparsity)[""]


def largest_of_all(magnitude: Mapping[str, Array], sparsity: float) -> dict[str, Mask]:
    """Return the mask of each layer when all are ranked together, each divided by its root mean square.

    So that a layer is not emptied because its values are small throughout.
    """
    return _ranked({name: _comparable(values) for name, values in magnitude.items()}, sparsity)


def _comparable(magnitude: Array) -> Array:
    mean_square = float(np.mean(np.square(magnitude, dtype=np.float64)))
    return magnitude / (mean_square**0.5 or 1.0)


def _ranked(magnitude: Mapping[str, Array], sparsity: float) -> dict[str, Mask]:
    if not magnitude:
        return {}
    ranked = np.concatenate([values.ravel() for values in magnitude.values()])
    kept = np.ones(ranked.size, np.bool_)
    kept[np.argsort(ranked, kind="stable")[: round(sparsity * ranked.size)]] = False
    ends = np.cumsum([values.size for values in magnitude.values()])[:-1]
    parts = np.split(kept, ends)
    return {name: part.reshape(magnitude[name].shape) for name, part in zip(magnitude, parts, strict=True)}
