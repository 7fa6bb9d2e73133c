"""The operations of a native program in NumPy, slowly: what they mean, and a session's oracle where none is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import sigmoid
from tinytorch.kernels import quantized, reference

__all__ = ["KERNELS", "interpret"]

Array = NDArray[Any]


def interpret(ops: Sequence[Any], slots: Sequence[int], x: Array) -> Array:
    """Return what slot 1 holds, flat for each sample (N, n), after all operations on samples x (N, ...)."""
    held: dict[int, Array] = {0: x.reshape(len(x), -1)}
    for kind, places, dims, _, arrays in ops:
        output = 2 if kind == "add" else 1
        read = [held[place] for number, place in enumerate(places) if number != output]
        out = np.ascontiguousarray(KERNELS[kind](read, dims, arrays)).reshape(len(x), -1)
        for place, array in zip(places, [*read[:output], out, *read[output:]], strict=True):
            assert array.nbytes == slots[place] * len(x), f"{kind}: slot {place} has {slots[place]} bytes"
        assert places[output] not in places[:output] + places[output + 1 :], f"{kind} writes where it reads"
        held[places[output]] = out
    return held[1]


def _relu(y: Array, act: int) -> Array:
    return np.maximum(y, 0) if act else y


def _with_bias(y: Array, bias: Array | None, act: int) -> Array:
    return _relu((y if bias is None else y + bias).astype(np.float32), act)


def _linear_f32(read: list[Array], dims: Any, arrays: Any) -> Array:
    _rows, inputs, outputs, act = dims
    weight, bias = arrays
    assert weight.shape == (outputs, inputs)
    assert weight.dtype == np.float32
    return _with_bias(read[0].reshape(-1, inputs) @ weight.T, bias, act)


def _linear_bs16(read: list[Array], dims: Any, arrays: Any) -> Array:
    _rows, inputs, outputs, act, blocks = dims
    values, columns, ends, bias = arrays
    assert values.shape == (blocks, 16)
    assert columns.dtype == ends.dtype == np.int32
    dense = np.zeros((len(ends) * 16, inputs), np.float32)
    start = 0
    for row, end in enumerate(ends):
        for block in range(start, end):
            dense[row * 16 : row * 16 + 16, columns[block]] = values[block]
        start = end
    assert start == blocks
    return _linear_f32(read, (_rows, inputs, outputs, act), (dense[:outputs], bias))


def _linear_i8(read: list[Array], dims: Any, arrays: Any) -> Array:
    _rows, inputs, outputs, act, in_type, out_type, scales = dims
    weight, scale, bias, x_scale, out_scale = arrays
    assert weight.dtype == np.int8
    assert weight.shape == (outputs, inputs)
    assert scale.shape == (scales,)
    x = read[0].reshape(-1, inputs)
    assert x.dtype == (np.int8 if in_type else np.float32)
    if in_type:
        sums = quantized.linear_int32(x, weight).astype(np.float32)
        y = quantized.dequantize_sums(sums, x_scale, scale, bias)
    else:
        y = quantized.quantized_linear_int32(x, weight, scale, bias, x_scale)
    y = _relu(y, act)
    return quantized.to_integers(y, out_scale, 8) if out_type else y


def _linear_w8(read: list[Array], dims: Any, arrays: Any) -> Array:
    _rows, inputs, outputs, act, scales = dims
    weight, scale, bias = arrays
    assert weight.dtype == np.int8
    assert weight.shape == (outputs, inputs)
    assert scale.shape == (scales,)
    return _with_bias((read[0].reshape(-1, inputs) @ weight.T.astype(np.float32)) * scale, bias, act)


def _linear_i4(read: list[Array], dims: Any, arrays: Any) -> Array:
    _rows, inputs, outputs, act, group, is_dynamic = dims
    packed, scale, bias = arrays
    weight = quantized.unpack_int4(packed, inputs)
    assert scale.shape == (outputs, -(-inputs // group))
    assert len(weight) == outputs
    x = read[0].reshape(-1, inputs)
    x_scale = quantized.activation_scale(x) if is_dynamic else None
    q = x if x_scale is None else quantized.to_integers(x, x_scale, 8).astype(np.float32)
    y = np.zeros((len(x), outputs), np.float32)
    for number, start in enumerate(range(0, inputs, group)):
        part = slice(start, start + group)
        sums = q[:, part] @ weight[:, part].T.astype(np.float32)
        y += sums * (scale[:, number] if x_scale is None else x_scale * scale[:, number])
    return _with_bias(y, bias, act)


def _conv2d(read: list[Array], dims: Any, arrays: Any) -> Array:
    channels, height, width, outputs, kh, kw, sh, sw, ph, pw, act, has_addend, *scales = dims
    weight, *others = arrays
    assert weight.shape == (outputs, channels, kh, kw)
    x = _nchw(read[0], (channels, height, width))
    if scales:
        scale, bias, x_scale = others
        assert weight.dtype == np.int8
        assert scale.shape == tuple(scales)
        y = quantized.quantized_conv2d_int32(x, weight, scale, bias, (sh, sw), (ph, pw), x_scale)
    else:
        y = reference.conv2d(x, weight, others[0], (sh, sw), (ph, pw))
    y = _nhwc(y)
    return _relu(y + read[1] if has_addend else y, act)


def _pool(pool: Callable[..., Array]) -> Callable[..., Array]:
    def compute(read: list[Array], dims: Any, arrays: Any) -> Array:
        kernel, stride, padding = dims[3:5], dims[5:7], dims[7:9]
        return _nhwc(pool(_nchw(read[0], dims[:3]), kernel, stride, padding))

    return compute


def _nchw(x: Array, image: tuple[int, int, int]) -> Array:
    channels, height, width = image
    return x.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)


def _nhwc(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1).reshape(len(x), -1)


def _unary(read: list[Array], dims: Any, arrays: Any) -> Array:
    x = read[0]
    functions: dict[int, Callable[[], Array]] = {
        1: lambda: np.maximum(x, 0),
        2: lambda: sigmoid(x),
        3: lambda: np.tanh(x),
        4: lambda: x * sigmoid(np.float32(1.702) * x),
    }
    assert math.prod(x.shape[1:]) == dims[0]
    return functions[dims[1]]()


def _affine(read: list[Array], dims: Any, arrays: Any) -> Array:
    pixels, channels, act = dims
    return _relu(read[0].reshape(-1, pixels, channels) * arrays[0] + arrays[1], act)


def _softmax(read: list[Array], dims: Any, arrays: Any) -> Array:
    x = read[0].reshape(-1, dims[1])
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    out: Array = powers / powers.sum(axis=1, keepdims=True)
    return out


KERNELS: dict[str, Callable[[list[Array], Any, Any], Array]] = {
    "add": lambda read, dims, arrays: _relu(read[0] + read[1], dims[1]),
    "affine": _affine,
    "avg_pool": _pool(reference.avg_pool2d),
    "conv2d_f32": _conv2d,
    "conv2d_i8": _conv2d,
    "linear_bs16": _linear_bs16,
    "linear_f32": _linear_f32,
    "linear_i4": _linear_i4,
    "linear_i8": _linear_i8,
    "linear_w8": _linear_w8,
    "max_pool": _pool(reference.max_pool2d),
    "nchw_to_nhwc": lambda read, dims, arrays: _nhwc(read[0].reshape(-1, *dims)),
    "nhwc_to_nchw": lambda read, dims, arrays: _nchw(read[0], dims).reshape(len(read[0]), -1),
    "softmax": _softmax,
    "unary": _unary,
}
