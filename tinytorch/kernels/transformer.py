"""What a transformer needs beside products: softmax, layer norm, attention over a cache; plain NumPy arrays.

They are the oracle for the native kernels, which agree to within `TOLERANCE`: their sums have another order and their
exponential function is another approximation. A NaN, and an infinity minus an infinity, gives NaN in both.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOLERANCE", "attention_decode", "attention_decode_i8", "layer_norm", "round_vectors", "softmax"]

Array: TypeAlias = NDArray[Any]

# How far the native kernels' float32 may be from float64: so much times the size of the terms that an output is the sum
# of. A float32 is precise to 6e-8; the worst seen over thousands of terms and three functions in a row was 1.6e-6.
TOLERANCE = 4e-6
_LEAST = 127 * float(np.finfo(np.float32).tiny)  # a vector of zeros keeps a scale that can be divided by


def softmax(x: Array) -> Array:
    """Return eˣ / Σeˣ over the last axis of x (..., n); subtracting the maximum avoids overflow."""
    out: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    out /= out.sum(axis=-1, keepdims=True)
    return out


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Return (x − mean) / √(variance + eps) · gain + bias over the last axis of x (..., n); gain and bias are (n,).

    The variance divides by n (Ba, Kiros & Hinton 2016, "Layer Normalization", equation 4).
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    out: Array = centred / np.sqrt(variance + x.dtype.type(eps)) * gain + bias
    return out


def attention_decode(query: Array, key: Array, value: Array, caches: tuple[Array, Array], position: int) -> Array:
    """Append one position to the caches, then attend to it and all before: softmax(q·Kᵀ/√d)·V for each head.

    `query`, `key` and `value` are (N, heads, d); the caches of keys and of values are (N, heads, capacity, d), and are
    written at `position`. Returns (N, heads, d). Raises IndexError for a position outside of the caches. (Vaswani et
    al. 2017, "Attention Is All You Need", equation 1, for the last query of a causal model.)
    """
    keys, values = caches
    _check_position(position, keys)
    keys[:, :, position], values[:, :, position] = key, value
    return _attend(query, keys[:, :, : position + 1], values[:, :, : position + 1])


def attention_decode_i8(
    query: Array, key: Array, value: Array, caches: tuple[Array, Array], scales: tuple[Array, Array], position: int
) -> Array:
    """Do the same with caches of int8 whose vectors have `scales` (N, heads, capacity): `round_vectors` of each."""
    _check_position(position, caches[0])
    past = []
    for cache, scale, new in zip(caches, scales, (key, value), strict=True):
        integers, scale_of_new = round_vectors(new)
        cache[:, :, position], scale[:, :, position] = integers, scale_of_new[..., 0]
        past.append(cache[:, :, : position + 1] * scale[:, :, : position + 1, np.newaxis].astype(query.dtype))
    return _attend(query, *past)


def round_vectors(x: Array) -> tuple[Array, Array]:
    """Return vectors x (..., d) as int8 and their scales (..., 1), float32: x ≈ integers · scale.

    scale = max|x| / 127, and at least the smallest normal float32. A NaN or an infinity makes the scale NaN.
    """
    x = x.astype(np.float32, copy=False)
    scale: Array = np.maximum.reduce(np.abs(x), axis=-1, keepdims=True, initial=_LEAST)
    scale /= np.float32(127)
    is_finite = np.isfinite(scale)
    if not is_finite.all():
        scale[~is_finite] = np.nan
        x = np.where(is_finite, x, np.float32(0))
        return np.rint(np.divide(x, scale, out=np.zeros_like(x), where=is_finite)).astype(np.int8), scale
    return np.rint(x / scale).astype(np.int8), scale


def _check_position(position: int, cache: Array) -> None:
    if not 0 <= position < cache.shape[2]:
        raise IndexError(f"position {position} is outside of a cache for {cache.shape[2]}")


def _attend(query: Array, keys: Array, values: Array) -> Array:
    scores = np.einsum("nhd,nhtd->nht", query, keys) / query.dtype.type(math.sqrt(query.shape[2]))
    out: Array = np.einsum("nht,nhtd->nhd", softmax(scores), values)
    return out
