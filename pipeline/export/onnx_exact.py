"""Products of integers in ONNX that are those of tinytorch: inputs are rounded by a scale for each row or sample.

The same integers as `tinytorch.kernels.quantized` has them, so that outputs differ by the order of float32 sums only.
Runtimes multiply them as integers, but find a dynamic scale anew at each call and fuse less than around a calibrated
one (`onnx_forms`), which is what they are faster with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.export.onnx_graph import Graph

__all__ = ["exact_convolution", "exact_input", "exact_product", "exact_weight"]

Array: TypeAlias = NDArray[Any]

# As in tinytorch.kernels.quantized: the least range, so that zeros are divided by something.
_LEAST = 127 * float(np.finfo(np.float32).tiny)
_ZERO = 128  # integers from -127 to 127 become unsigned around it: the type that every runtime's operators take
_FLOAT, _UINT8 = 1, 2  # ONNX's numbers of types
_ROW, _SAMPLE = (-1,), (1, 2, 3)  # axes that share a scale


def exact_product(graph: Graph, layer: Any, name: str, x: str, scale: Array) -> str:
    """Write x (..., I) times the layer's integers (O, I) times `scale` (O,), plus its bias."""
    integers, x_scale = _unsigned(graph, layer, name, x, _ROW)
    stored = graph.constant(f"{name}.integers", layer.weight.values.T)
    zeros = (_constant(graph, "zero.unsigned", np.uint8(_ZERO)), _constant(graph, "zero.signed", np.int8(0)))
    total = graph.add("MatMulInteger", (integers, stored, *zeros), f"{name}.total")
    return _scaled(graph, name, total, x_scale, scale, layer.bias)


def exact_convolution(graph: Graph, layer: Any, name: str, x: str, scale: Array, window: Mapping[str, Any]) -> str:
    """Write the convolution of x (N, C, H, W) with the layer's integers (O, C, h, w) times `scale` (O,), plus bias."""
    integers, x_scale = _unsigned(graph, layer, name, x, _SAMPLE)
    unsigned = (layer.weight.values.astype(np.int16) + _ZERO).astype(np.uint8)  # onnxruntime takes no signed ones
    zero = _constant(graph, "zero.unsigned", np.uint8(_ZERO))
    operands = (integers, graph.constant(f"{name}.integers", unsigned), zero, zero)
    total = graph.add("ConvInteger", operands, f"{name}.total", **window)
    bias = None if layer.bias is None else layer.bias.reshape(-1, 1, 1)
    return _scaled(graph, name, total, x_scale, scale.reshape(-1, 1, 1), bias)


def exact_input(graph: Graph, layer: Any, name: str, x: str) -> str:
    """Return x rounded as the layer does it, in float32: for weights whose scales are by group."""
    levels, scale = _levels(graph, layer, name, x, _ROW if layer.weight.values.ndim == 2 else _SAMPLE)
    return graph.add("Mul", (levels, scale), f"{name}.rounded")


def exact_weight(graph: Graph, name: str, values: Array, scale: Array, axis: int) -> str:
    """Write integers times a scale for each index of `axis`, which runtimes multiply out once.

    Not as a DequantizeLinear: onnxruntime (1.32) then takes some products for MatMulNBits, and rounds their inputs.
    """
    shape = [-1 if place == axis else 1 for place in range(values.ndim)]
    floats = graph.add("Cast", (graph.constant(f"{name}.integers", values),), f"{name}.float", to=_FLOAT)
    return graph.add("Mul", (floats, graph.constant(f"{name}.scale", scale.reshape(shape))), name)


def _unsigned(graph: Graph, layer: Any, name: str, x: str, axes: tuple[int, ...]) -> tuple[str, str]:
    """Return x as integers around 128, and their scale."""
    levels, scale = _levels(graph, layer, name, x, axes)
    shifted = graph.add("Add", (levels, _constant(graph, "shift", np.float32(_ZERO))), f"{name}.shifted")
    return graph.add("Cast", (shifted,), f"{name}.unsigned", to=_UINT8), scale


def _levels(graph: Graph, layer: Any, name: str, x: str, axes: tuple[int, ...]) -> tuple[str, str]:
    """Return x in units of its scale, rounded half to even, at most 127; and the scale."""
    most = _constant(graph, "most", np.float32(127))
    if layer.activation_scale is None:
        along = graph.constant(f"{name}.axes", np.array(axes, np.int64))
        largest = graph.add("ReduceMax", (graph.add("Abs", (x,), f"{name}.abs"), along), f"{name}.largest", keepdims=1)
        bounded = graph.add("Max", (largest, _constant(graph, "least", np.float32(_LEAST))), f"{name}.bounded")
        scale = graph.add("Div", (bounded, most), f"{name}.x_scale")
    else:
        scale = graph.constant(f"{name}.x_scale", np.array(layer.activation_scale[0], np.float32))
    nearest = graph.add("Round", (graph.add("Div", (x, scale), f"{name}.levels"),), f"{name}.nearest")
    least = _constant(graph, "fewest", np.float32(-127))
    return graph.add("Clip", (nearest, least, most), f"{name}.clipped"), scale


def _scaled(graph: Graph, name: str, total: str, x_scale: str, scale: Array, bias: Array | None) -> str:
    factor = graph.add("Mul", (x_scale, graph.constant(f"{name}.scale", scale)), f"{name}.factor")
    # A scale is never negative, so this changes nothing, but onnxruntime (1.32) sees no MatMulIntegerToFloat in it:
    # that has one scale for all rows, and where each has its own it silently gives other numbers (measured: 4 % off).
    both = graph.add("Max", (factor, _constant(graph, "none", np.float32(0))), f"{name}.both")
    floats = graph.add("Cast", (total,), f"{name}.float", to=_FLOAT)
    if bias is None:
        return graph.add("Mul", (floats, both), name)
    product = graph.add("Mul", (floats, both), f"{name}.product")
    return graph.add("Add", (product, graph.constant(f"{name}.bias", bias)), name)


def _constant(graph: Graph, name: str, value: np.generic) -> str:
    return graph.constant(f"exact.{name}", np.array(value))
