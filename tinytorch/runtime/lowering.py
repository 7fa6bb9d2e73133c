"""Which native operations compute a step: the table from layer types to operations, and what each operation is given.

A step can have several forms of equal meaning, named by their kernel: the first is used unless another is chosen.
Operations are data, ``(kind, slots, dims, scalars, arrays)`` as kernels/native/op.h explains them. Integers of a
quantized layer stay as they are; a batch norm after it goes into the scales and the bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.kernels.quantized import INT32_MAX, pack_int4
from tinytorch.runtime.block_sparse import BlockSparseLinear, by_block, has_empty_blocks, kept_blocks
from tinytorch.runtime.fusion import Shape, Step
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = ["Body", "Layout", "kernels_of", "lower", "wanted_layout"]

Array: TypeAlias = NDArray[Any]
# How a sample lies in memory: None as its shape says, (C, H, W) an image of that shape with its channels last.
Layout: TypeAlias = "tuple[int, int, int] | None"


class Body(NamedTuple):
    """An operation but for where it reads and writes."""

    kind: str
    dims: tuple[int, ...]
    scalars: tuple[float, ...] = ()
    arrays: tuple[Array | None, ...] = ()


def kernels_of(step: Step) -> tuple[str, ...]:
    """Return the kernels that can compute a step, the usual one first; none for a layer that only runs eagerly."""
    if step.layer is None:
        return ("add",)
    find = _KERNELS.get(type(step.layer))
    return () if find is None else find(step)


def wanted_layout(step: Step, kernel: str) -> str:
    """Return how the step's input has to lie: "image", "plain", "columns" (an image can be undone) or "any"."""
    if kernel.startswith("linear_"):
        is_flat = len(step.before) == 1 and not (kernel == "linear_i4" and _groups(step.layer) > 1)
        return "columns" if is_flat else "plain"
    return _WANTED.get(kernel, "image")


def lower(step: Step, kernel: str, layout: Layout) -> Body:
    """Return the operation by which `kernel` computes the step for an input that lies as `layout` says."""
    return _LOWER[kernel](step, layout)


# Which kernels -------------------------------------------------------------------------------------------------------


def _float_linear(step: Step) -> tuple[str, ...]:
    layer: Any = step.layer
    if not has_empty_blocks(layer.weight.data):
        return ("linear_f32",)
    return ("linear_bs16", "linear_f32") if isinstance(layer, BlockSparseLinear) else ("linear_f32", "linear_bs16")


def _quantized_linear(step: Step) -> tuple[str, ...]:
    layer: Any = step.layer
    bits, activations = layer.scheme.bits, layer.scheme.activations
    if activations != "none" and not _fits_int32(layer):
        return ()
    if _groups(layer) > 1:
        return _GROUPED_LINEAR.get((bits, activations), ())
    return _QUANTIZED_LINEAR[bits, activations]


# (bits, activations) -> kernels; integers of 4 bits can be held in 8
_QUANTIZED_LINEAR: dict[tuple[int, str], tuple[str, ...]] = {
    (8, "dynamic"): ("linear_i8",),
    (8, "static"): ("linear_i8",),
    (8, "none"): ("linear_w8", "linear_f32"),
    (4, "dynamic"): ("linear_i4", "linear_i8"),
    (4, "static"): ("linear_i8",),
    (4, "none"): ("linear_i4", "linear_w8", "linear_f32"),
}
# The same where each group of inputs has a scale of its own.
_GROUPED_LINEAR: dict[tuple[int, str], tuple[str, ...]] = {
    (8, "none"): ("linear_f32",),
    (4, "dynamic"): ("linear_i4",),
    (4, "none"): ("linear_i4", "linear_f32"),
}


def _quantized_conv(step: Step) -> tuple[str, ...]:
    layer: Any = step.layer
    if layer.scheme.activations == "none":
        return ("conv2d_f32",)
    return ("conv2d_i8",) if _fits_int32(layer) and _groups(layer) == 1 else ()


def _fits_int32(layer: Any) -> bool:
    products: int = math.prod(layer.geometry.weight_shape[1:])
    return products * 127 * 127 <= INT32_MAX


def _always(kernel: str) -> Callable[[Step], tuple[str, ...]]:
    return lambda step: (kernel,)


_KERNELS: dict[type[Layer], Callable[[Step], tuple[str, ...]]] = {
    AvgPool2d: _always("avg_pool"),
    BatchNorm2d: _always("affine"),
    BlockSparseLinear: _float_linear,
    Conv2d: _always("conv2d_f32"),
    GELU: _always("unary"),
    Linear: _float_linear,
    MaxPool2d: _always("max_pool"),
    QuantizedConv2d: _quantized_conv,
    QuantizedLinear: _quantized_linear,
    ReLU: _always("unary"),
    Sigmoid: _always("unary"),
    Softmax: _always("softmax"),
    SparseConv2d: _always("conv2d_f32"),
    SparseLinear: _float_linear,
    Tanh: _always("unary"),
}
_WANTED = {"add": "any", "softmax": "plain", "unary": "any"}


# What they are given -------------------------------------------------------------------------------------------------


def _linear_f32(step: Step, layout: Layout) -> Body:
    weight = _columns(_dense_weight(step.layer), layout)
    return Body("linear_f32", (*_sizes(step, weight), step.has_relu), (), (_contiguous(weight), _bias(step)))


def _linear_bs16(step: Step, layout: Layout) -> Body:
    weight = _columns(_dense_weight(step.layer), layout)
    kept = kept_blocks(weight.T)
    columns = np.nonzero(kept)[1].astype(np.int32)
    ends = np.cumsum(np.count_nonzero(kept, axis=1)).astype(np.int32)
    dims = (*_sizes(step, weight), step.has_relu, len(columns))
    return Body("linear_bs16", dims, (), (by_block(weight.T)[kept], columns, ends, _bias(step)))


def _linear_i8(step: Step, layout: Layout) -> Body:
    layer: Any = step.layer
    weight, scale = _contiguous(_columns(layer.weight.values, layout)), _scale(step)
    dims = (*_sizes(step, weight), step.has_relu, 0, 0, len(scale))
    return Body("linear_i8", dims, (), (weight, scale, _bias(step), layer.activation_scale, None))


def _linear_w8(step: Step, layout: Layout) -> Body:
    layer: Any = step.layer
    weight, scale = _contiguous(_columns(layer.weight.values, layout)), _scale(step)
    dims = (*_sizes(step, weight), step.has_relu, len(scale))
    return Body("linear_w8", dims, (), (weight, scale, _bias(step)))


def _linear_i4(step: Step, layout: Layout) -> Body:
    layer: Any = step.layer
    weight, scale, groups = _columns(layer.weight.values, layout), _scale(step), _groups(layer)
    group = weight.shape[1] if groups == 1 else layer.weight.group
    scales = np.ascontiguousarray(np.broadcast_to(scale.reshape(-1, groups), (len(weight), groups)), np.float32)
    dims = (*_sizes(step, weight), step.has_relu, group, layer.scheme.activations == "dynamic")
    return Body("linear_i4", dims, (), (pack_int4(weight), scales, _bias(step)))


def _conv2d_f32(step: Step, layout: Layout) -> Body:
    layer: Any = step.layer
    weight = _dense_weight(layer)
    if step.norm is not None:
        weight = weight * _norm_factors(step.norm)[0][:, None, None, None]
    return Body("conv2d_f32", _conv_dims(step), (), (_contiguous(weight), _bias(step)))


def _conv2d_i8(step: Step, layout: Layout) -> Body:
    layer: Any = step.layer
    scale = _scale(step)
    arrays = (_contiguous(layer.weight.values), scale, _bias(step), layer.activation_scale)
    return Body("conv2d_i8", (*_conv_dims(step), len(scale)), (), arrays)


def _pool(kind: str) -> Callable[[Step, Layout], Body]:
    def lowered(step: Step, layout: Layout) -> Body:
        layer: Any = step.layer
        return Body(kind, (*step.before, *layer._kernel, *layer._stride, *layer._padding))

    return lowered


def _unary(step: Step, layout: Layout) -> Body:
    return Body("unary", (math.prod(step.before), _UNARY[type(step.layer)]))


_UNARY: dict[type[Any], int] = {ReLU: 1, Sigmoid: 2, Tanh: 3, GELU: 4}


def _affine(step: Step, layout: Layout) -> Body:
    layer: Any = step.layer
    channels, height, width = step.before
    return Body("affine", (height * width, channels, step.has_relu), (), _norm_factors(layer))


def _softmax(step: Step, layout: Layout) -> Body:
    return Body("softmax", (math.prod(step.before[:-1]), step.before[-1]))


def _add(step: Step, layout: Layout) -> Body:
    return Body("add", (math.prod(step.before), step.has_relu))


_LOWER: dict[str, Callable[[Step, Layout], Body]] = {
    "add": _add,
    "affine": _affine,
    "avg_pool": _pool("avg_pool"),
    "conv2d_f32": _conv2d_f32,
    "conv2d_i8": _conv2d_i8,
    "linear_bs16": _linear_bs16,
    "linear_f32": _linear_f32,
    "linear_i4": _linear_i4,
    "linear_i8": _linear_i8,
    "linear_w8": _linear_w8,
    "max_pool": _pool("max_pool"),
    "softmax": _softmax,
    "unary": _unary,
}


def _dense_weight(layer: Any) -> Array:
    """Return the float32 weights, outputs first; those of a quantized layer are multiplied out."""
    if isinstance(layer, QuantizedLinear | QuantizedConv2d):
        weight: Array = layer.weight.dequantized()
    else:
        weight = layer.weight.data.T if layer.weight.data.ndim == 2 else layer.weight.data
    return weight


def _bias(step: Step) -> Array | None:
    layer: Any = step.layer
    bias = layer.bias
    if bias is not None and not isinstance(bias, np.ndarray):
        bias = bias.data
    if step.norm is None:
        return None if bias is None else _contiguous(bias)
    factor, shift = _norm_factors(step.norm)
    return shift if bias is None else bias * factor + shift


def _scale(step: Step) -> Array:
    """Return the weight scales, times what a batch norm after the product multiplies by; flat."""
    layer: Any = step.layer
    scale: Array = layer.weight.scale.reshape(-1)
    return _contiguous(scale if step.norm is None else scale * _norm_factors(step.norm)[0])


def _norm_factors(norm: BatchNorm2d) -> tuple[Array, Array]:
    """Return a and b (C,) of y = a·x + b, which is what a batch norm computes in inference."""
    factor = norm.gamma.data / np.sqrt(norm.running_var + np.float32(norm.eps))
    return factor, norm.beta.data - norm.running_mean * factor


def _sizes(step: Step, weight: Array) -> tuple[int, int, int]:
    """Return vectors of a sample, inputs, outputs."""
    return math.prod(step.before[:-1]), weight.shape[1], weight.shape[0]


def _conv_dims(step: Step) -> tuple[int, ...]:
    layer: Any = step.layer
    outputs, _, kh, kw = _weight_shape(layer)
    config = layer.config()
    window = (kh, kw, *config["stride"], *config["padding"])
    return (*step.before, outputs, *window, step.has_relu, step.addend is not None)


def _weight_shape(layer: Any) -> Shape:
    if isinstance(layer, QuantizedConv2d):
        return layer.geometry.weight_shape
    shape: Shape = layer.weight.shape
    return shape


def _columns(weight: Array, layout: Layout) -> Array:
    """Return weights (O, C·H·W) with their columns in the order in which an image lies, its channels last."""
    if layout is None:
        return weight
    by_pixel = weight.reshape(len(weight), *layout).transpose(0, 2, 3, 1)
    return by_pixel.reshape(len(weight), -1)


def _groups(layer: Any) -> int:
    """Return into how many groups, each with a scale of its own, the inputs of a quantized layer are split."""
    scale = layer.weight.scale if isinstance(layer, QuantizedLinear | QuantizedConv2d) else np.zeros(1)
    return scale.shape[1] if scale.ndim == 2 else 1


def _contiguous(array: Array) -> Array:
    return np.ascontiguousarray(array)
