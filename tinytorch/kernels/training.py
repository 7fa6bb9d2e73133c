"""What training computes over and over: convolutions, pools, batch norms and ReLU, with their gradients.

Each function does what `reference` does, by native kernels where they are built and the numbers are float32. No result
depends on the number of threads. ReLU and max pooling have the same bits either way; sums round in
another order, which is why the instruction set is part of what a trained network is known by.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch.kernels import reference
from tinytorch.kernels.calls import chosen_isa, run

__all__ = [
    "batch_moments",
    "channels_last",
    "conv2d",
    "conv2d_grads",
    "max_pool2d",
    "max_pool2d_grad",
    "normalize",
    "normalize_grads",
    "pixel_sums",
    "relu",
    "relu_grad",
]

Array: TypeAlias = npt.NDArray[Any]
Pair: TypeAlias = tuple[int, int]

_MOST_TAPS = 255


def _last(x: Array) -> Array:
    """Return images (N, C, H, W) as contiguous (N, H, W, C); a copy only where they do not lie so already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _first(x: Array) -> Array:
    return x.transpose(0, 3, 1, 2)


def _by_window(weight: Array) -> Array:
    """Return weights (O, C, kh, kw) as contiguous (kh, kw, C, O), which is how a Conv2d holds them."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def channels_last(x: Array) -> Array:
    """Return images (N, C, H, W) whose memory is channels last: x itself if it is, so that others copy no more."""
    return _first(_last(x))


def _vector(x: Array | None) -> Array | None:
    """Return an array of one number a channel as kernels read it: contiguous."""
    return None if x is None else np.ascontiguousarray(x)


def _conv_dims(x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair) -> tuple[int, ...]:
    (count, channels, height, width), (outputs, _, kh, kw) = x, weight
    return (count, height, width, channels, outputs, kh, kw, *stride, *padding)


def conv2d(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair) -> Array:
    """Cross-correlate: x (N, C, H, W), weight (O, C, kh, kw) -> (N, O, H', W')."""
    isa = chosen_isa(x, weight, bias)
    if isa is None:
        return reference.conv2d(x, weight, bias, stride, padding)
    size = reference.output_size(x.shape[2:], weight.shape[2:], stride, padding)
    out = np.empty((len(x), *size, len(weight)), np.float32)
    dims = _conv_dims(x.shape, weight.shape, stride, padding)
    run(isa, "conv2d", dims, (_last(x), _by_window(weight), _vector(bias), out))
    return _first(out)


def conv2d_grads(
    grad: Array, x: Array, weight: Array, stride: Pair, padding: Pair, needs: tuple[bool, bool]
) -> tuple[Array | None, Array | None]:
    """Return the gradients for input and weight, each None unless it is needed, given that of the output."""
    isa = chosen_isa(grad, x, weight)
    if isa is None:
        return _reference_conv2d_grads(grad, x, weight, stride, padding, needs)
    dims, by_pixel = _conv_dims(x.shape, weight.shape, stride, padding), _last(grad)
    grad_x = grad_w = None
    if needs[0]:
        made = np.empty((len(x), *x.shape[2:], x.shape[1]), np.float32)
        run(isa, "conv2d_input_grad", dims, (by_pixel, _by_window(weight), made))
        grad_x = _first(made)
    if needs[1]:
        summed = np.empty((*weight.shape[2:], weight.shape[1], weight.shape[0]), np.float32)
        run(isa, "conv2d_weight_grad", dims, (by_pixel, _last(x), summed))
        grad_w = summed.transpose(3, 2, 0, 1)
    return grad_x, grad_w


def _reference_conv2d_grads(
    grad: Array, x: Array, weight: Array, stride: Pair, padding: Pair, needs: tuple[bool, bool]
) -> tuple[Array | None, Array | None]:
    if all(needs):
        return reference.conv2d_grads(grad, x, weight, stride, padding)
    if needs[0]:
        return reference.conv2d_input_grad(grad, weight, x.shape[2:], stride, padding), None
    if needs[1]:
        return None, reference.conv2d_weight_grad(grad, x, weight.shape[2:], stride, padding)
    return None, None


def pixel_sums(x: Array) -> Array:
    """Return the sum over images and pixels of x (N, C, H, W) for each channel (C,)."""
    isa = chosen_isa(x)
    if isa is None or not x.size:
        return reference.channel_sums(reference.as_rows(x), x.shape[1])
    sums = np.empty(x.shape[1], np.float32)
    run(isa, "channel_sums", (x.size // x.shape[1], x.shape[1]), (_last(x), sums))
    return sums


def batch_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and biased variance of each channel (C,) over images and pixels of x (N, C, H, W)."""
    channels = x.shape[1]
    isa = chosen_isa(x)
    if isa is not None and x.size:
        mean, var = np.empty(channels, np.float32), np.empty(channels, np.float32)
        run(isa, "moments", (x.size // channels, channels), (_last(x), mean, var))
        return mean, var
    rows, count = reference.as_rows(x), x.size // channels
    mean = reference.channel_sums(rows, channels) / count
    centered = rows - reference.tiled(mean, x.shape[3])
    return mean, reference.product_sums(centered, centered, channels) / count


def normalize(x: Array, mean: Array, factor: Array, shift: Array) -> Array:
    """Return (x - mean)·factor + shift for each channel of x (N, C, H, W)."""
    isa = chosen_isa(x, mean, factor, shift)
    if isa is not None and x.size:
        last = _last(x)
        out = np.empty_like(last)
        run(isa, "normalize", (x.size // x.shape[1], x.shape[1]), (last, out, *map(_vector, (mean, factor, shift))))
        return _first(out)
    width = x.shape[3]
    rows = reference.as_rows(x) - reference.tiled(mean, width)
    rows *= reference.tiled(factor, width)
    rows += reference.tiled(shift, width)
    return reference.from_rows(rows, x.shape)


def normalize_grads(
    grad: Array, x: Array, mean: Array, inverse_std: Array, gamma: Array, *, is_fixed: bool, needs_x: bool
) -> tuple[Array | None, Array, Array]:
    """Return the gradients of batch normalization for x, gamma and beta.

    d/dx = γ/σ·(g - mean(g) - x̂·mean(g·x̂)); the two means vanish for fixed statistics.
    """
    channels, count = x.shape[1], x.size // x.shape[1]
    isa = chosen_isa(grad, x, mean, inverse_std, gamma)
    if isa is None or not x.size:
        return _reference_normalize_grads(grad, x, mean, inverse_std, gamma, is_fixed=is_fixed, needs_x=needs_x)
    by_pixel, last = _last(grad), _last(x)
    grad_beta, products = np.empty(channels, np.float32), np.empty(channels, np.float32)
    run(isa, "product_sums", (count, channels), (by_pixel, last, mean, grad_beta, products))
    grad_gamma = products * inverse_std
    if not needs_x:
        return None, grad_gamma, grad_beta
    zero, factor = np.zeros(channels, np.float32), gamma * inverse_std
    slope = zero if is_fixed else -grad_gamma * inverse_std / np.float32(count)
    offset = zero if is_fixed else grad_beta / np.float32(count)
    out = np.empty_like(last)
    run(isa, "normalize_grad", (count, channels), (by_pixel, last, out, mean, slope, offset, factor))
    return _first(out), grad_gamma, grad_beta


def _reference_normalize_grads(
    grad: Array, x: Array, mean: Array, inverse_std: Array, gamma: Array, *, is_fixed: bool, needs_x: bool
) -> tuple[Array | None, Array, Array]:
    channels, width, count = x.shape[1], x.shape[3], x.size // x.shape[1]
    rows, centered = reference.as_rows(grad), reference.as_rows(x) - reference.tiled(mean, width)
    grad_beta = reference.channel_sums(rows, channels)
    grad_gamma = reference.product_sums(rows, centered, channels) * inverse_std
    if not needs_x:
        return None, grad_gamma, grad_beta
    factor = reference.tiled(gamma * inverse_std, width)
    if is_fixed:
        return reference.from_rows(rows * factor, x.shape), grad_gamma, grad_beta
    slope = reference.tiled(-grad_gamma * inverse_std / count, width)
    offset = reference.tiled(grad_beta / count, width)
    for block in reference.row_blocks(rows):
        part = np.multiply(centered[block], slope, out=centered[block])
        part += rows[block]
        part -= offset
        part *= factor
    return reference.from_rows(centered, x.shape), grad_gamma, grad_beta


def relu(x: Array) -> Array:
    """Return max(x, 0), laid out as x; NaN stays NaN."""
    memory, isa = _in_memory_order(x), chosen_isa(x)
    if memory is None or isa is None or not x.size:
        return np.asarray(np.maximum(x, 0))
    out = np.empty_like(memory)
    run(isa, "relu", (x.size,), (memory, out))
    return _in_order_of(x, out)


def relu_grad(grad: Array, out: Array) -> Array:
    """Return `grad` where `out`, a result of `relu`, is positive, else 0."""
    memory, isa = _in_memory_order(out), chosen_isa(grad, out)
    if memory is None or isa is None or not out.size or grad.strides != out.strides:
        return np.where(out > 0, grad, grad.dtype.type(0))
    result = np.empty_like(memory)
    run(isa, "relu_grad", (out.size,), (_in_order_of_memory(grad), memory, result))
    return _in_order_of(out, result)


def _in_memory_order(x: Array) -> Array | None:
    """Return x as it lies in memory, contiguous: itself or its channels-last view; None where it is neither."""
    if x.flags.c_contiguous:
        return x
    last = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    return last if last.flags.c_contiguous else None


def _in_order_of_memory(x: Array) -> Array:
    found = _in_memory_order(x)
    return np.ascontiguousarray(x) if found is None else found


def _in_order_of(x: Array, memory: Array) -> Array:
    return memory if x.flags.c_contiguous else _first(memory)


def max_pool2d(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> tuple[Array, Array]:
    """Return the largest value in each window, (N, C, H', W'), and what `max_pool2d_grad` needs to know of them."""
    isa = chosen_isa(x)
    if isa is None or kernel[0] * kernel[1] > _MOST_TAPS:
        out = reference.max_pool2d(x, kernel, stride, padding)
        return out, out
    count, channels, height, width = x.shape
    size = reference.output_size((height, width), kernel, stride, padding)
    out, places = np.empty((count, *size, channels), np.float32), np.empty((count, *size, channels), np.uint8)
    run(isa, "max_pool2d", (count, height, width, channels, *kernel, *stride, *padding), (_last(x), out, places))
    return _first(out), places


def max_pool2d_grad(grad: Array, x: Array, found: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Send each gradient to the first maximum of its window; `found` is what `max_pool2d` returned beside it."""
    isa = chosen_isa(x)
    if found.dtype != np.uint8:
        return reference.max_pool2d_grad(grad, x, found, kernel, stride, padding)
    if isa is None:  # it was another choice when `found` was made
        out = reference.max_pool2d(x, kernel, stride, padding)
        return reference.max_pool2d_grad(grad, x, out, kernel, stride, padding)
    count, channels, height, width = x.shape
    result = np.empty((count, height, width, channels), np.float32)
    dims = (count, height, width, channels, *kernel, *stride, *padding)
    run(isa, "max_pool2d_grad", dims, (_last(grad.astype(np.float32, copy=False)), found, result))
    return _first(result)
