"""Symmetric integer arithmetic on arrays: quantize, pack, multiply. No Tensors, no layers.

A real number v is held as an integer q with v ≈ q · scale and |q| <= QMAX[bits]; there is no zero point, so that a
zero stays a zero (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference", section 2.1, with Z = 0). The `*_int32` functions are the oracle that faster kernels match bit for bit.
`linear_exact` computes the same integers on float32 BLAS: a float32 holds every integer up to 2**24, so a product of
integers is exact in any order of summation as long as the sum of its absolute terms stays within that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EXACT_LIMIT",
    "QMAX",
    "activation_scale",
    "by_weight",
    "conv2d_int32",
    "dequantize_sums",
    "exact_blocks",
    "group_slices",
    "linear_exact",
    "linear_int32",
    "pack_int4",
    "quantize_activations",
    "quantize_groups",
    "quantize_weights",
    "quantized_conv2d_int32",
    "quantized_linear_int32",
    "to_integers",
    "unpack_int4",
]

Array: TypeAlias = NDArray[Any]

QMAX = {8: 127, 4: 7}  # symmetric: -128 and -8 are not used, so that negation never overflows
EXACT_LIMIT = 2**24  # above it float32 no longer holds every integer
INT32_MAX = 2**31 - 1
# The least range: its scale is the smallest normal float32, so that an all-zero range gives 0 / scale = 0 and not NaN.
_LEAST = 127 * float(np.finfo(np.float32).tiny)
_INT8 = np.float32(127)


def quantize_weights(weights: Array, bits: int, per_channel: bool) -> tuple[Array, Array]:
    """Round weights (O, ...) to integers; return them as int8 with the scales, (O,) per channel or (1,) per tensor.

    scale = max|w| / QMAX[bits], so no weight saturates. Raises ValueError for a NaN or an infinite weight.
    """
    if not np.isfinite(weights).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(weights))} of {weights.size} weights are NaN or infinite")
    rows = weights.reshape(len(weights), math.prod(weights.shape[1:]))
    largest = np.abs(rows).max(axis=1, initial=_LEAST)
    if not per_channel:
        largest = largest.max(keepdims=True, initial=_LEAST)
    scale = largest / np.float32(QMAX[bits])
    return to_integers(rows, scale[:, None], bits).reshape(weights.shape), scale


def quantize_groups(weights: Array, bits: int, group: int) -> tuple[Array, Array]:
    """Round weights (O, I, ...) with a scale for each output and each `group` inputs.

    Return int8 with the scales (O, ceil(I / group)); the last group may be shorter.
    Raises ValueError for a NaN or an infinite weight.
    """
    outputs, inputs = weights.shape[:2]
    count = -(-inputs // group)
    padded = np.zeros((outputs, count * group, *weights.shape[2:]), weights.dtype)
    padded[:, :inputs] = weights
    values, scale = quantize_weights(padded.reshape(outputs * count, group, *weights.shape[2:]), bits, True)
    return np.ascontiguousarray(values.reshape(padded.shape)[:, :inputs]), scale.reshape(outputs, count)


def group_slices(inputs: int, group: int | None) -> tuple[slice, ...]:
    """Return the inputs that share a scale, one slice a group; all of them without a group size."""
    step = group or max(inputs, 1)
    return tuple(slice(start, min(start + step, inputs)) for start in range(0, max(inputs, 1), step))


def by_weight(scale: Array, shape: tuple[int, ...], group: int | None) -> Array:
    """Return scales (1,), (O,) or, with a group size, (O, G), such that they broadcast over weights of `shape`"""
    if group is None:
        return scale.reshape(-1, *[1] * (len(shape) - 1))
    wide: Array = np.repeat(scale, group, axis=1)[:, : shape[1]]
    return wide.reshape(*shape[:2], *[1] * (len(shape) - 2))


def to_integers(values: Array, scale: Array | float, bits: int) -> Array:
    """Round `values / scale` to the nearest integer (half to even) and saturate at ±QMAX[bits]."""
    limit = QMAX[bits]
    rounded: Array = np.clip(np.rint(values / scale), -limit, limit)
    return rounded.astype(np.int8)


def activation_scale(x: Array) -> Array | float:
    """Return the int8 scale of each sample of x (N, ...), shaped (N, 1, ...): max|x| / 127 over that sample alone.

    One scale a sample, not one a batch, so that a prediction does not depend on what else is in its batch. A NaN or an
    infinity gives a scale that is not finite, which makes the outputs of that sample NaN, as fp32 does. For a single
    sample it is a float: NumPy finds two extrema of a flat array in less than half the time of a reduction over axes,
    and a float64 quotient of float32 numbers, rounded to float32, is the float32 quotient.
    """
    if len(x) == 1 and x.size:
        flat = x.ravel("K")  # a view for every layout in use
        largest: float = max(flat.item(flat.argmax()), -flat.item(flat.argmin()), _LEAST)
        return largest / 127
    axes = 1 if x.ndim == 2 else tuple(range(1, x.ndim))
    scale: Array = np.maximum.reduce(np.abs(x), axis=axes, keepdims=True, initial=_LEAST)
    scale /= _INT8
    return scale


def quantize_activations(x: Array, scale: Array | float, saturate: bool) -> Array:
    """Round x / scale to integers held in float32, in a new array; a NaN stays a NaN.

    `saturate` clips at ±127. It is needed with a calibrated scale only: one from `activation_scale` covers all of x.
    """
    q: Array = x / scale
    np.rint(q, out=q)
    if saturate:
        np.minimum(q, _INT8, out=q)
        np.maximum(q, -_INT8, out=q)
    return q


def linear_int32(x: Array, weights: Array) -> Array:
    """Return x (N, K) times weights (O, K) transposed in int32 arithmetic: the oracle, slow."""
    if x.shape[1] * 127 * 127 > INT32_MAX:
        raise ValueError(f"{x.shape[1]} products of int8 can overflow an int32 sum")
    sums: Array = x.astype(np.int32) @ weights.T.astype(np.int32)
    return sums


def conv2d_int32(x: Array, weights: Array, stride: tuple[int, int], padding: tuple[int, int]) -> Array:
    """Return the convolution of x (N, C, H, W) with weights (O, C, kh, kw) in int32 arithmetic: the oracle, slow."""
    kh, kw = weights.shape[2:]
    if weights[:1].size * 127 * 127 > INT32_MAX:
        raise ValueError(f"{weights[:1].size} products of int8 can overflow an int32 sum")
    padded = np.pad(x.astype(np.int32), ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]  # (N, C, OH, OW, kh, kw)
    sums: Array = np.einsum("nchwij,ocij->nohw", windows, weights.astype(np.int32))
    return sums


def quantized_linear_int32(
    x: Array,
    weights: Array,
    w_scale: Array,
    bias: Array | None,
    x_scale: Array | None = None,
    group: int | None = None,
) -> Array:
    """Return the whole quantized product of x (N, K) the slow way: what an executing layer must equal bit for bit.

    `x_scale` is the calibrated scale (1,), or None for one dynamic scale a sample. With a group size, `w_scale` is
    (O, G): the sum of each group is an integer, scaled, and added in float32 to those of the groups before it.
    """
    scale = activation_scale(x) if x_scale is None else x_scale
    q = to_integers(x, scale, 8)
    scales = w_scale[None] if group is None else w_scale.T
    total: Array | None = None
    for part, each in zip(group_slices(weights.shape[1], group), scales, strict=True):
        sums = linear_int32(q[:, part], weights[:, part]).astype(np.float32)
        scaled = dequantize_sums(sums, scale, each, None)
        total = scaled if total is None else total + scaled
    assert total is not None
    return total if bias is None else total + bias


def quantized_conv2d_int32(
    x: Array,
    weights: Array,
    w_scale: Array,
    bias: Array | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    x_scale: Array | None = None,
    group: int | None = None,
) -> Array:
    """Return the whole quantized convolution of x (N, C, H, W) the slow way; see `quantized_linear_int32`."""
    scale = activation_scale(x) if x_scale is None else x_scale
    q = to_integers(x, scale, 8)
    scales = w_scale[None] if group is None else w_scale.T
    total: Array | None = None
    for part, each in zip(group_slices(weights.shape[1], group), scales, strict=True):
        sums = conv2d_int32(q[:, part], weights[:, part], stride, padding).astype(np.float32)
        scaled = dequantize_sums(sums, scale, each[:, None, None], None)
        total = scaled if total is None else total + scaled
    assert total is not None
    return total if bias is None else total + bias[:, None, None]


def dequantize_sums(sums: Array, x_scale: Array | float, w_scale: Array, bias: Array | None) -> Array:
    """Return sums · (x_scale · w_scale) + bias in float32, overwriting `sums`; the scales broadcast over it.

    `sums` are the exact integer sums, rounded to float32 where they exceed 2**24.
    """
    sums *= x_scale * w_scale
    if bias is not None:
        sums += bias
    return sums


def exact_blocks(weights: Array) -> tuple[slice, ...]:
    """Split axis 1 of weights (O, K, ...) into the fewest equal blocks whose int8 products sum exactly in float32.

    The bound is that of the weights at hand, 127 · max over outputs of Σ|w|, not the worst case of 1,040 products.
    """
    length = weights.shape[1]
    size = np.abs(weights.astype(np.int32)).sum(axis=tuple(range(2, weights.ndim)))  # (O, K)
    for count in range(1, length + 1):
        step = -(-length // count)
        blocks = tuple(slice(start, min(start + step, length)) for start in range(0, length, step))
        if all(127 * int(size[:, block].sum(axis=1).max(initial=0)) <= EXACT_LIMIT for block in blocks):
            return blocks
    if length:
        raise ValueError(f"one input channel has {weights[0, 0].size} weights: too many for an exact float32 sum")
    return (slice(0, 0),)


def linear_exact(x: Array, weights: Sequence[Array], blocks: Sequence[slice]) -> Array:
    """Return the integer sums x (N, K) times the blocks of weights, (K_b, O) each, in float32.

    x and weights hold integers; `blocks` come from `exact_blocks`. Equal to float32(linear_int32(...)), bit for bit.
    """
    if len(blocks) == 1:
        sums: Array = x @ weights[0]
        return sums
    total = np.zeros((len(x), weights[0].shape[1]))  # float64: the sum over blocks may exceed 2**24
    for block, part in zip(blocks, weights, strict=True):
        total += x[:, block] @ part
    return total.astype(np.float32)


def pack_int4(values: Array) -> Array:
    """Pack integers in [-8, 7] along the last axis, two a byte: even positions in the low nibble, two's complement.

    An odd length is padded with a zero, so (..., K) becomes (..., ceil(K / 2)).
    """
    if values.size and (values.min() < -8 or values.max() > 7):
        raise ValueError(f"values from {values.min()} to {values.max()} do not fit 4 bits (-8 to 7)")
    if values.shape[-1] % 2:
        values = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
    nibbles = values.astype(np.uint8) & 0x0F
    packed: Array = nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)
    return packed


def unpack_int4(packed: Array, length: int) -> Array:
    """Undo `pack_int4`: (..., ceil(length / 2)) bytes become (..., length) integers as int8."""
    if packed.shape[-1] != (length + 1) // 2:
        raise ValueError(f"{length} values of 4 bits take {(length + 1) // 2} bytes, not {packed.shape[-1]}")
    pairs = np.stack([packed << 4, packed & 0xF0], axis=-1).view(np.int8) >> 4  # the shift back extends the sign
    return np.ascontiguousarray(pairs.reshape(*packed.shape[:-1], -1)[..., :length])
