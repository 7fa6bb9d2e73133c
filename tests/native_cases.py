"""Random programs for each native kernel, with what NumPy says they compute: the material of test_native_fuzz.

A maker draws shapes and values from a generator, odd remainders and NaN, infinite and saturating values among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import sigmoid
from tinytorch.kernels import quantized, reference, transformer

__all__ = ["MAKERS", "Case"]

Array = NDArray[Any]
Rng = np.random.Generator

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 128, 129, 200, 260)
LARGE = (383, 384, 511, 512, 513, 769, 1024, 1030)  # beyond the blocks that kernels cut matrices into
BAD = np.array([np.nan, np.inf, -np.inf, 1e-42, -1e-42, 0], np.float32)
GELU_SLOPE = np.float32(1.702)


@dataclass(frozen=True)
class Case:
    """Operations, their slots, samples x (N, n) and what they compute of them (N, m).

    `size` is the magnitude of the terms that an expected value is the sum of: a float32 kernel may be off by a small
    part of it. Where it is None every bit is the same.
    """

    ops: tuple[Any, ...]
    slots: tuple[int, ...]
    x: Array
    expected: Array
    size: Array | None = None


def single(op: tuple[Any, ...], x: Array, expected: Array, size: Array | None = None) -> Case:
    """Make a case of one operation, (kind, dims, scalars, arrays), from the input to the output."""
    kind, dims, scalars, arrays = op
    x, expected = x.reshape(len(x), -1), expected.reshape(len(x), -1)
    slots = (x.shape[1] * 4, expected.shape[1] * 4)
    return Case(((kind, (0, 1), dims, scalars, arrays),), slots, x, expected, size)


def draw(rng: Rng, count: int) -> tuple[int, ...]:
    """Draw sizes, small ones and remainders of vector lengths more often than others."""
    tables = (SIZES, SIZES, SIZES, SIZES, SIZES, SIZES, range(1, 300), LARGE)
    return tuple(int(rng.choice(tables[rng.integers(len(tables))])) for _ in range(count))


def values(rng: Rng, shape: Sequence[int]) -> Array:
    """Draw float32 values whose rows differ in magnitude by up to 10⁴, in some cases with NaN, infinities and zeros."""
    x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-2, 2, (shape[0],) + (1,) * (len(shape) - 1))
    x = x.astype(np.float32)
    if x.size and rng.random() < 0.4:
        x.flat[rng.integers(0, x.size, 1 + x.size // 300)] = rng.choice(BAD)
    if x.size and rng.random() < 0.1:
        x[rng.integers(len(x))] = 0
    return x


def bias_of(rng: Rng, count: int) -> Array | None:
    return rng.standard_normal(count).astype(np.float32) if rng.random() < 0.7 else None


def relu(y: Array, act: int) -> Array:
    return np.maximum(y, 0) if act else y


def rows_of(rng: Rng) -> tuple[int, int, int, int, int]:
    """Draw samples, rows, inputs, outputs and the activation of a product."""
    inputs, outputs = draw(rng, 2)
    return (
        int(rng.choice([1, 2, 3, 4, 5, 9, 17, 40, 70])),
        int(rng.choice([1, 1, 1, 2, 3])),
        inputs,
        outputs,
        int(rng.integers(2)),
    )


def product(x: Array, weight: Array, bias: Array | None, act: int) -> tuple[Array, Array]:
    """Return x (n, I) times weight (O, I) plus bias in float64, and the size of the sums' terms."""
    exact = weight.astype(np.float64)
    y, size = (
        x.astype(np.float64) @ exact.T,
        np.abs(np.nan_to_num(x.astype(np.float64), posinf=0, neginf=0)) @ np.abs(exact).T,
    )
    return (relu(y if bias is None else y + bias, act), size if bias is None else size + np.abs(bias))


def linear_f32(rng: Rng) -> Case:
    count, rows, inputs, outputs, act = rows_of(rng)
    x, weight, bias = values(rng, (count * rows, inputs)), values(rng, (outputs, inputs)), bias_of(rng, outputs)
    weight = np.nan_to_num(weight, posinf=1, neginf=-1)
    expected, size = product(x, weight, bias, act)
    op = ("linear_f32", (rows, inputs, outputs, act), (), (weight, bias))
    return by_sample(op, count, x, expected, size)


def by_sample(op: tuple[Any, ...], count: int, x: Array, expected: Array, size: Array | None = None) -> Case:
    """Make a case of rows: x (count · rows, I) and expected (count · rows, O)."""
    rows, inputs, outputs = op[1][:3]
    shape = (count, rows * outputs)
    return single(
        op, x.reshape(count, rows * inputs), expected.reshape(shape), None if size is None else size.reshape(shape)
    )


def linear_bs16(rng: Rng) -> Case:
    count, rows, inputs, outputs, act = rows_of(rng)
    block_rows = -(-outputs // 16)
    x, bias = values(rng, (count * rows, inputs)), bias_of(rng, outputs)
    kept = rng.random((block_rows, inputs)) < rng.choice([0, 0.1, 0.5, 1])
    column = np.nonzero(kept)[1].astype(np.int32)
    ends = np.cumsum(kept.sum(axis=1)).astype(np.int32)
    blocks = rng.standard_normal((len(column), 16)).astype(np.float32)
    dense = np.zeros((block_rows, inputs, 16), np.float32)
    dense[kept] = blocks
    if outputs % 16:
        dense[-1, :, outputs % 16 :] = 0
        blocks = np.ascontiguousarray(dense[kept])
    weight = dense.transpose(0, 2, 1).reshape(-1, inputs)[:outputs]
    expected, size = product(x, weight, bias, 0)
    for row in np.nonzero(~np.isfinite(x).all(axis=1))[0]:  # what no block stores is not multiplied
        stored = kept[np.arange(outputs) // 16]
        terms = np.where(stored, x[row] * weight, 0).sum(axis=1)
        expected[row] = terms if bias is None else terms + bias
    op = ("linear_bs16", (rows, inputs, outputs, act, len(column)), (), (blocks, column, ends, bias))
    return by_sample(op, count, x, relu(expected, act), size)


def integers(rng: Rng, shape: Sequence[int], bits: int = 8) -> Array:
    limit = quantized.QMAX[bits]
    drawn = rng.integers(-limit, limit, shape, endpoint=True)
    return (drawn if rng.random() < 0.7 else rng.choice([-limit, limit], shape)).astype(np.int8)


def scales(rng: Rng, outputs: int) -> Array:
    return rng.uniform(1e-3, 1e-1, outputs if rng.random() < 0.6 else 1).astype(np.float32)


def spoilt(x: Array, y: Array, x_scale: Array | None) -> Array:
    """Make NaN what a NaN in x (n, ...), or with a dynamic scale an infinity, spoils of y (n, ...)."""
    bad = np.isnan(x) if x_scale is not None else ~np.isfinite(x)
    y[bad.reshape(len(x), -1).any(axis=1)] = np.nan
    return y


def activation(rng: Rng) -> Array | None:
    """Draw a calibrated scale, under which many values saturate, or None for a dynamic one."""
    return np.array([rng.uniform(1e-3, 1e-1)], np.float32) if rng.random() < 0.5 else None


def linear_i8(rng: Rng) -> Case:
    count, rows, inputs, outputs, act = rows_of(rng)
    x, weight, bias, x_scale = (
        values(rng, (count * rows, inputs)),
        integers(rng, (outputs, inputs)),
        bias_of(rng, outputs),
        activation(rng),
    )
    w_scale = scales(rng, outputs)
    y = quantized.quantized_linear_int32(x, weight, w_scale, bias, x_scale)
    expected = relu(spoilt(x, y, x_scale), act)
    dims = (rows, inputs, outputs, act, 0, 0, len(w_scale))
    return by_sample(("linear_i8", dims, (), (weight, w_scale, bias, x_scale, None)), count, x, expected)


def linear_i8_in_bytes(rng: Rng) -> Case:
    """An integer product of bytes into bytes, between quantize_i8 and a product with the identity."""
    count, rows, inputs, outputs, act = rows_of(rng)
    x, weight, bias = values(rng, (count * rows, inputs)), integers(rng, (outputs, inputs)), bias_of(rng, outputs)
    x_scale, out_scale = rng.uniform(1e-3, 1e-1, (2, 1)).astype(np.float32)
    w_scale = scales(rng, outputs)
    y = relu(quantized.quantized_linear_int32(x, weight, w_scale, bias, x_scale), act)
    expected = spoilt(x, quantized.to_integers(y, out_scale, 8) * out_scale, x_scale).reshape(count, rows * outputs)
    one, identity = np.ones(1, np.float32), np.eye(outputs, dtype=np.int8)
    ops = (
        ("quantize_i8", (0, 2), (rows * inputs,), (), (x_scale,)),
        (
            "linear_i8",
            (2, 3),
            (rows, inputs, outputs, act, 1, 1, len(w_scale)),
            (),
            (weight, w_scale, bias, x_scale, out_scale),
        ),
        ("linear_i8", (3, 1), (rows, outputs, outputs, 0, 1, 0, 1), (), (identity, one, None, out_scale, None)),
    )
    slots = (rows * inputs * 4, rows * outputs * 4, rows * inputs, rows * outputs)
    return Case(ops, slots, x.reshape(count, rows * inputs), expected)


def linear_w8(rng: Rng) -> Case:
    count, rows, inputs, outputs, act = rows_of(rng)
    x, weight, bias = values(rng, (count * rows, inputs)), integers(rng, (outputs, inputs)), bias_of(rng, outputs)
    w_scale = scales(rng, outputs)
    real = weight * np.broadcast_to(w_scale, outputs)[:, None].astype(np.float64)
    expected, size = product(x, real, bias, act)
    op = ("linear_w8", (rows, inputs, outputs, act, len(w_scale)), (), (weight, w_scale, bias))
    return by_sample(op, count, x, expected, size)


def linear_i4(rng: Rng) -> Case:
    count, rows, inputs, outputs, act = rows_of(rng)
    group = int(rng.choice([inputs, 32, 64, 128])) if rng.random() < 0.8 else int(rng.integers(1, inputs + 1))
    group, is_dynamic = min(group, inputs), int(rng.integers(2))
    x, weight, bias = values(rng, (count * rows, inputs)), integers(rng, (outputs, inputs), 4), bias_of(rng, outputs)
    scale = rng.uniform(1e-3, 1e-1, (outputs, -(-inputs // group))).astype(np.float32)
    real = weight * np.repeat(scale, group, axis=1)[:, :inputs].astype(np.float64)
    read = x
    if is_dynamic:
        x_scale = np.maximum(np.abs(x).max(axis=1, keepdims=True), 127 * np.finfo(np.float32).tiny) / np.float32(127)
        read = np.rint(x / x_scale) * x_scale.astype(np.float64)
    expected, size = product(read, real, bias, 0)
    expected = relu(spoilt(x, expected, None) if is_dynamic else expected, act)
    op = ("linear_i4", (rows, inputs, outputs, act, group, is_dynamic), (), (quantized.pack_int4(weight), scale, bias))
    return by_sample(op, count, x, expected, size)


def window(rng: Rng) -> tuple[tuple[int, int, int], tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Draw an image (C, H, W), and kernel, stride and padding that fit it."""
    if rng.random() < 0.25:  # what a kernel may have a way of its own for
        side = int(rng.integers(0, 2))
        return (int(rng.choice([32, 48, 64])), *map(int, rng.integers(8, 20, 2))), (3, 3), (1, 1), (side, side)
    channels = int(rng.choice([1, 2, 3, 4, 7, 8, 10, 16, 17, 31, 32, 33, 64, 65]))
    kernel = tuple(int(k) for k in (rng.choice([1, 3], 1).repeat(2) if rng.random() < 0.6 else rng.integers(1, 6, 2)))
    stride = (1, 1) if rng.random() < 0.6 else tuple(int(s) for s in rng.integers(1, 4, 2))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    size = tuple(int(rng.integers(max(1, k - 2 * p), 14)) for k, p in zip(kernel, padding, strict=True))
    return (channels, *size), kernel, stride, padding


def nhwc(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1).reshape(len(x), -1)


def _convolution(rng: Rng, compute: Callable[..., Any], kind: str) -> Case:
    image, kernel, stride, padding = window(rng)
    outputs, count, act = (
        int(rng.choice([1, 3, 8, 15, 16, 17, 32, 32, 33, 48, 64, 64, 70])),
        int(rng.integers(1, 4)),
        int(rng.integers(2)),
    )
    x = values(rng, (count, *image))
    y, size, arrays, extra = compute(rng, x, (outputs, image[0], *kernel), stride, padding)
    dims = (*image, outputs, *kernel, *stride, *padding)
    slots = (x[0].nbytes, y[0].size * 4)
    if rng.random() < 0.5:
        ops = ((kind, (0, 1), (*dims, act, 0, *extra), (), arrays),)
        return Case(ops, slots, nhwc(x), relu(nhwc(y), act), None if size is None else nhwc(size))
    plain, added = (
        (kind, (0, 2), (*dims, 0, 0, *extra), (), arrays),
        (kind, (0, 1, 2), (*dims, act, 1, *extra), (), arrays),
    )
    return Case(
        (plain, added), (*slots, slots[1]), nhwc(x), relu(nhwc(y + y), act), None if size is None else 2 * nhwc(size)
    )


def conv2d_f32(rng: Rng) -> Case:
    def compute(rng: Rng, x: Array, shape: tuple[int, ...], stride: Any, padding: Any) -> Any:
        weight, bias = rng.standard_normal(shape).astype(np.float32), bias_of(rng, shape[0])
        exact = np.float64
        finite = np.nan_to_num(np.abs(x.astype(exact)), posinf=0)
        offset = np.zeros(shape[0]) if bias is None else bias.astype(exact)
        y = reference.conv2d(x.astype(exact), weight.astype(exact), offset, stride, padding)
        size = reference.conv2d(finite, np.abs(weight.astype(exact)), np.abs(offset), stride, padding)
        return y, size, (weight, bias), ()

    return _convolution(rng, compute, "conv2d_f32")


def conv2d_i8(rng: Rng) -> Case:
    def compute(rng: Rng, x: Array, shape: tuple[int, ...], stride: Any, padding: Any) -> Any:
        weight, bias, x_scale, w_scale = (
            integers(rng, shape),
            bias_of(rng, shape[0]),
            activation(rng),
            scales(rng, shape[0]),
        )
        y = quantized.quantized_conv2d_int32(x, weight, w_scale, bias, stride, padding, x_scale)
        if x_scale is None:
            y = spoilt(x, y, None)
        else:  # integers hold no NaN; the outputs of the windows that it is in do
            y[
                reference.conv2d(np.isnan(x).astype(np.float32), np.ones(shape, np.float32), None, stride, padding) > 0
            ] = np.nan
        return y, None, (weight, w_scale, bias, x_scale), (len(w_scale),)

    return _convolution(rng, compute, "conv2d_i8")


def _pool(kind: str) -> Callable[[Rng], Case]:
    def make(rng: Rng) -> Case:
        image, kernel, stride, padding = window(rng)
        x = values(rng, (int(rng.integers(1, 4)), *image))
        dims, arguments = (*image, *kernel, *stride, *padding), (kernel, stride, padding)
        if kind == "max_pool":
            return single((kind, dims, (), ()), nhwc(x), nhwc(reference.max_pool2d(x, *arguments)))
        size = reference.avg_pool2d(np.nan_to_num(np.abs(x.astype(np.float64)), posinf=0), *arguments)
        return single(
            (kind, dims, (), ()), nhwc(x), nhwc(reference.avg_pool2d(x.astype(np.float64), *arguments)), nhwc(size)
        )

    return make


def nchw_to_nhwc(rng: Rng) -> Case:
    x = values(rng, (2, *window(rng)[0]))
    return single(("nchw_to_nhwc", x.shape[1:], (), ()), x, nhwc(x))


def nhwc_to_nchw(rng: Rng) -> Case:
    x = values(rng, (2, *window(rng)[0]))
    return single(("nhwc_to_nchw", x.shape[1:], (), ()), nhwc(x), x)


def add(rng: Rng) -> Case:
    n, act = draw(rng, 1)[0], int(rng.integers(2))
    x = values(rng, (3, n))
    gain, offset = rng.standard_normal((2, n)).astype(np.float32)
    ops = (("affine", (0, 2), (1, n, 0), (), (gain, offset)), ("add", (0, 2, 1), (n, act), (), ()))
    return Case(ops, (n * 4,) * 3, x, relu(x + (x * gain + offset), act))


def affine(rng: Rng) -> Case:
    channels, act = draw(rng, 1)[0], int(rng.integers(2))
    x = values(rng, (2, int(rng.integers(1, 40)), channels))
    gain, offset = rng.standard_normal((2, channels)).astype(np.float32)
    return single(("affine", (*x.shape[1:], act), (), (gain, offset)), x, relu(x * gain + offset, act))


def unary(rng: Rng) -> Case:
    kind = int(rng.integers(1, 5))
    x = values(rng, (3, draw(rng, 1)[0]))
    functions: dict[int, Callable[[], Array]] = {
        1: lambda: np.maximum(x, 0),
        2: lambda: sigmoid(x.astype(np.float64)),
        3: lambda: np.tanh(x.astype(np.float64)),
        4: lambda: x * sigmoid((x * GELU_SLOPE).astype(np.float64)),
    }
    y = functions[kind]()
    return single(("unary", (x.shape[1], kind), (), ()), x, y, None if kind == 1 else np.abs(y) + 1e-30)


def softmax(rng: Rng) -> Case:
    x = values(rng, (2, int(rng.integers(1, 5)), draw(rng, 1)[0]))
    x = np.where(np.abs(x) > 40, np.float32(40), x)  # an exponent's own rounding error grows with it
    y = transformer.softmax(x.astype(np.float64))
    return single(("softmax", x.shape[1:], (), ()), x, y, y.reshape(len(x), -1) + 1e-30)


def layer_norm(rng: Rng) -> Case:
    x = values(rng, (2, int(rng.integers(1, 5)), draw(rng, 1)[0]))
    gain, bias = rng.standard_normal((2, x.shape[2])).astype(np.float32)
    exact = x.astype(np.float64)
    y = transformer.layer_norm(exact, gain, bias, 1e-5)
    size = np.abs(exact).max(axis=2, keepdims=True) / np.sqrt(exact.var(axis=2, keepdims=True) + 1e-5) * np.abs(
        gain
    ) + np.abs(bias)
    return single(("layer_norm", x.shape[1:], (1e-5,), (gain, bias)), x, y, size.reshape(len(x), -1))


def attention_decode(rng: Rng) -> Case:
    return _attention(rng, False)


def attention_decode_i8(rng: Rng) -> Case:
    return _attention(rng, True)


def _attention(rng: Rng, is_rounded: bool) -> Case:
    """Attend with the input times a vector as query, key and value, in slots of their own or, one sample, in one."""
    count, heads = (int(n) for n in rng.integers(1, 4, 2))
    d, capacity = min(draw(rng, 1)[0], 130), draw(rng, 1)[0]
    position, is_joined = int(rng.integers(capacity)), count == 1 and rng.random() < 0.5
    x, width = rng.standard_normal((count, heads * d)).astype(np.float32), heads * d
    factors, zeros = rng.standard_normal((3, width)).astype(np.float32), np.zeros(width, np.float32)
    caches = rng.standard_normal((2, count, heads, capacity, d)).astype(np.float32)
    inputs = [(x * factor).reshape(count, heads, d) for factor in factors]
    exact: Any = caches.astype(np.float64)
    arrays = (*caches.copy(), np.array([position]))
    if is_rounded:
        integers, scales = transformer.round_vectors(caches)
        arrays = (*integers.copy(), np.array([position]), *scales.copy()[..., 0])
        scales = scales[..., 0]
        double = [new.astype(np.float64) for new in inputs]
        y = transformer.attention_decode_i8(*double, (integers[0], integers[1]), (scales[0], scales[1]), position)
        exact = integers * scales[..., np.newaxis].astype(np.float64)
    else:
        y = transformer.attention_decode(*(new.astype(np.float64) for new in inputs), (exact[0], exact[1]), position)
    size = np.abs(exact[1][:, :, : position + 1]).max(axis=2) * np.sqrt(
        d
    )  # scores are sums of some √d times their size
    if is_joined:
        gains, more = factors.reshape(1, -1), np.zeros(3 * width, np.float32)
        ops = [("affine", (0, 2), (1, 3 * width, 0), (), (gains.ravel(), more))]
        slots = (2, 2, 2, 1)
        x, sizes = np.tile(x, (1, 3)), (3 * width * 4, width * 4, 3 * width * 4)
    else:
        ops = [("affine", (0, i + 2), (1, width, 0), (), (factor, zeros)) for i, factor in enumerate(factors)]
        slots, sizes = (2, 3, 4, 1), (width * 4,) * 5
    kind = "attention_decode_i8" if is_rounded else "attention_decode"
    ops.append((kind, slots, (heads, d, capacity, is_joined, 0), (), arrays))
    return Case(tuple(ops), sizes, x, y.reshape(count, -1), size.reshape(count, -1))


MAKERS: dict[str, Callable[[Rng], Case]] = {
    "add": add,
    "affine": affine,
    "attention_decode": attention_decode,
    "attention_decode_i8": attention_decode_i8,
    "avg_pool": _pool("avg_pool"),
    "conv2d_f32": conv2d_f32,
    "conv2d_i8": conv2d_i8,
    "layer_norm": layer_norm,
    "linear_bs16": linear_bs16,
    "linear_f32": linear_f32,
    "linear_i4": linear_i4,
    "linear_i8": linear_i8,
    "linear_w8": linear_w8,
    "max_pool": _pool("max_pool"),
    "nchw_to_nhwc": nchw_to_nhwc,
    "nhwc_to_nchw": nhwc_to_nchw,
    "quantize_i8": linear_i8_in_bytes,
    "softmax": softmax,
    "unary": unary,
}
"""A maker for each kernel; a case may hold other operations, too, which make its inputs or read its output."""
