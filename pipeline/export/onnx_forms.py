"""How each type of layer is written as ONNX operators: the table FORMS, one function a type.

Quantized layers become int8 weights and int32 biases behind DequantizeLinear and inputs behind a pair of QuantizeLinear
and DequantizeLinear (QDQ), which runtimes replace by integer kernels. A batch norm after a quantized convolution is
folded into its scales and bias, which changes no integer but a sign: left in between, it would keep runtimes from that.
Weights with scales by group are written multiplied out, in float32: ONNX has such scales from opset 21 on only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.export.onnx_exact import exact_convolution, exact_input, exact_product, exact_weight
from pipeline.export.onnx_graph import Graph
from tinytorch.core.activations import GELU_SLOPE
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import MaxPool2d
from tinytorch.models.network import Network
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear

__all__ = ["FORMS", "emit"]

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Form: TypeAlias = Callable[[Graph, Any, str, str, Shape], str]

_PICKING = (Dropout, Flatten, MaxPool2d)  # layers that pass on some of their values as they are
_LARGEST_BIAS = 2**30  # as int32, with a bit to spare
_LEAST_SCALE = float(np.finfo(np.float32).tiny)


def emit(graph: Graph, layer: Layer, name: str, x: str, shape: Shape) -> str:
    """Write a layer of this dotted name that takes value `x`, of samples of `shape`; return the value it gives.

    Raises UserError, naming the layer, for a type without an ONNX form.
    """
    kind = type(layer).__name__
    if kind not in FORMS:
        raise UserError(f"{name}: a {kind} has no ONNX form (there is one for {', '.join(sorted(FORMS))})")
    return FORMS[kind](graph, layer, name, x, shape)


def _network(graph: Graph, layer: Any, name: str, x: str, shape: Shape) -> str:
    for child, step, norm in _steps(graph, layer):
        inner = f"{name}.{child}" if name else child
        if isinstance(step, MaxPool2d) and (scale := _scale_after(graph, layer, name, child)) is not None:
            x = graph.rounded(x, scale, inner)  # before the maximum as well as after it: the same numbers
        x = emit(graph, step, inner, x, shape) if norm is None else _quantized_convolution(graph, step, inner, x, norm)
        shape = step.output_shape(shape)
    return x


def _steps(graph: Graph, network: Network) -> Iterator[tuple[str, Any, BatchNorm2d | None]]:
    """Yield the layers with their names; a quantized convolution together with the batch norm after it."""
    children = list(network.children().items())
    followers = [layer for _, layer in children[1:]] + [None]
    is_folded = False
    for (name, layer), following in zip(children, followers, strict=True):
        folds = isinstance(layer, QuantizedConv2d) and not _is_grouped(layer) and isinstance(following, BatchNorm2d)
        folds = folds and not _is_exact(graph, layer)
        if not is_folded:
            yield name, layer, following if folds and isinstance(following, BatchNorm2d) else None
        is_folded = folds


def _scale_after(graph: Graph, network: Network, name: str, child: str) -> float | None:
    """Return the input scale of the layer that takes what this child picks, None if that is not quantized.

    Rounding keeps order, so it may come before a maximum: a convolution before the pool then ends in integers, and
    onnxruntime runs it on integers (measured: 17 µs for the cnn instead of 19).
    """
    following = list(network.children().items())[list(network.names).index(child) + 1 :]
    taker = next(((n, layer) for n, layer in following if not isinstance(layer, _PICKING)), None)
    if taker is None or not isinstance(taker[1], (QuantizedConv2d, QuantizedLinear)):
        return None
    if taker[1].scheme.activations == "none" or _is_grouped(taker[1]) or _is_exact(graph, taker[1]):
        return None
    return _input_scale(graph, taker[1], f"{name}.{taker[0]}" if name else taker[0])


def _residual(graph: Graph, layer: Any, name: str, x: str, shape: Shape) -> str:
    inside = emit(graph, layer.body, name, x, shape)
    around = x if layer.shortcut is None else emit(graph, layer.shortcut, f"{name}.shortcut", x, shape)
    if f"{name}.body" in graph.scales:
        inside = graph.rounded(inside, graph.scales[f"{name}.body"], f"{name}.body", is_added=True)
        around = graph.rounded(around, graph.scales[f"{name}.shortcut"], f"{name}.shortcut", is_added=True)
    return graph.add("Relu", (graph.add("Add", (inside, around), f"{name}.sum"),), name)


def _linear(graph: Graph, layer: Any, name: str, x: str, shape: Shape) -> str:
    bias = None if layer.bias is None else graph.constant(f"{name}.bias", layer.bias.data)
    return _product(graph, name, x, graph.constant(f"{name}.weight", layer.weight.data), bias, shape)


def _product(graph: Graph, name: str, x: str, weight: str, bias: str | None, shape: Shape) -> str:
    """Write x (N, ..., I) times weight (I, O), plus bias; Gemm is for matrices only."""
    if len(shape) == 1:
        return graph.add("Gemm", (x, weight) if bias is None else (x, weight, bias), name)
    if bias is None:
        return graph.add("MatMul", (x, weight), name)
    return graph.add("Add", (graph.add("MatMul", (x, weight), f"{name}.product"), bias), name)


def _convolution(graph: Graph, layer: Any, name: str, x: str, _: Shape) -> str:
    inputs = [x, graph.constant(f"{name}.weight", layer.weight.data)]
    if layer.bias is not None:
        inputs.append(graph.constant(f"{name}.bias", layer.bias.data))
    return graph.add("Conv", tuple(inputs), name, **_window(layer.config()))


def _window(config: Any) -> dict[str, list[int]]:
    """Return kernel, stride and padding as ONNX has them: pads are top, left, bottom, right."""
    return {
        "kernel_shape": list(config["kernel_size"]),
        "strides": list(config["stride"]),
        "pads": [*config["padding"], *config["padding"]],
    }


def _batch_norm(graph: Graph, layer: Any, name: str, x: str, _: Shape) -> str:
    arrays = layer.state()
    parts = ("gamma", "beta", "running_mean", "running_var")
    constants = tuple(graph.constant(f"{name}.{part}", arrays[part]) for part in parts)
    return graph.add("BatchNormalization", (x, *constants), name, epsilon=layer.eps)


def _max_pool(graph: Graph, layer: Any, name: str, x: str, _: Shape) -> str:
    return graph.add("MaxPool", (x,), name, **_window(layer.config()))


def _average_pool(graph: Graph, layer: Any, name: str, x: str, _: Shape) -> str:
    return graph.add("AveragePool", (x,), name, count_include_pad=1, **_window(layer.config()))


def _gelu(graph: Graph, layer: Any, name: str, x: str, _: Shape) -> str:
    slope = graph.constant(f"{name}.slope", np.array(GELU_SLOPE, np.float32))
    gate = graph.add("Sigmoid", (graph.add("Mul", (x, slope), f"{name}.scaled"),), f"{name}.gate")
    return graph.add("Mul", (x, gate), name)


def _operator(kind: str, **attributes: Any) -> Form:
    """Return the form of a layer that is one operator without constants."""
    return lambda graph, layer, name, x, shape: graph.add(kind, (x,), name, **attributes)


def _quantized_linear(graph: Graph, layer: Any, name: str, x: str, shape: Shape) -> str:
    if _is_grouped(layer):
        x = exact_input(graph, layer, name, x) if _is_exact(graph, layer) else x
        weight = graph.constant(f"{name}.weight", layer.weight.dequantized().T)
        return _product(graph, name, x, weight, _float_bias(graph, name, layer.bias), shape)
    values, scale, bias = layer.weight.values, _by_output(layer), layer.bias
    if layer.scheme.activations == "none":
        weight = _float_weight(graph, f"{name}.weight", values.T, scale, 1)
        return _product(graph, name, x, weight, _float_bias(graph, name, bias), shape)
    if _is_exact(graph, layer):
        return exact_product(graph, layer, name, x, scale)
    x_scale = _input_scale(graph, layer, name)
    values, scale = _roomy(values, scale, bias, x_scale)
    weight = _integers(graph, f"{name}.weight", values.T, scale, 1)
    x = graph.rounded(x, x_scale, name)
    return _product(graph, name, x, weight, _integer_bias(graph, name, bias, scale * np.float32(x_scale)), shape)


def _quantized_conv(graph: Graph, layer: Any, name: str, x: str, _: Shape) -> str:
    if _is_grouped(layer):
        x = exact_input(graph, layer, name, x) if _is_exact(graph, layer) else x
        weight, bias = (
            graph.constant(f"{name}.weight", layer.weight.dequantized()),
            _float_bias(graph, name, layer.bias),
        )
        window = _window(layer.geometry.config())
        return graph.add("Conv", (x, weight) if bias is None else (x, weight, bias), name, **window)
    return _quantized_convolution(graph, layer, name, x, None)


def _quantized_convolution(graph: Graph, layer: Any, name: str, x: str, norm: BatchNorm2d | None) -> str:
    values, scale, bias = layer.weight.values, _by_output(layer), layer.bias
    if _is_exact(graph, layer):
        return exact_convolution(graph, layer, name, x, scale, _window(layer.geometry.config()))
    if norm is not None:
        values, scale, bias = _folded(values, scale, bias, norm)
    window = _window(layer.geometry.config())
    if layer.scheme.activations == "none":
        weight, constant = _float_weight(graph, f"{name}.weight", values, scale, 0), _float_bias(graph, name, bias)
    else:
        x_scale = _input_scale(graph, layer, name)
        values, scale = _roomy(values, scale, bias, x_scale)
        x, weight = graph.rounded(x, x_scale, name), _integers(graph, f"{name}.weight", values, scale, 0)
        constant = _integer_bias(graph, name, bias, scale * np.float32(x_scale))
    return graph.add("Conv", (x, weight) if constant is None else (x, weight, constant), name, **window)


def _is_grouped(layer: Any) -> bool:
    return layer.weight.group is not None


def _is_exact(graph: Graph, layer: Any) -> bool:
    """Return whether the inputs are to be rounded just as the layer does it."""
    return graph.is_exact and layer.scheme.activations != "none"


def _by_output(layer: Any) -> Array:
    """Return a weight scale for each output (O,), also where one scale is for all."""
    scale: Array = np.broadcast_to(layer.weight.scale, (len(layer.weight.values),)).astype(np.float32)
    return scale


def _input_scale(graph: Graph, layer: Any, name: str) -> float:
    return float(layer.activation_scale[0]) if layer.activation_scale is not None else graph.scales[name]


def _folded(values: Array, scale: Array, bias: Array | None, norm: BatchNorm2d) -> tuple[Array, Array, Array]:
    """Return integers, scales and bias of convolution and batch norm together; a negative gamma turns the integers."""
    factor = norm.gamma.data / np.sqrt(norm.running_var + np.float32(norm.eps))
    shift = norm.beta.data - norm.running_mean * factor
    sign = np.where(factor < 0, -1, 1).astype(np.int8).reshape(-1, *[1] * (values.ndim - 1))
    return values * sign, scale * np.abs(factor), shift if bias is None else shift + bias * factor


def _roomy(values: Array, scale: Array, bias: Array | None, x_scale: float) -> tuple[Array, Array]:
    """Return integers and scales such that the bias fits an int32 of scale weight times input.

    An output whose weights are next to nothing beside its bias gets a larger weight scale and smaller integers; what
    that rounds away is below 2**-30 of the bias for each input.
    """
    least = np.zeros_like(scale) if bias is None else np.abs(bias) / np.float32(x_scale) / _LARGEST_BIAS
    enough = np.maximum(np.maximum(scale, least), _LEAST_SCALE / min(x_scale, 1.0)).astype(np.float32)
    shrunk = (scale / enough).reshape(-1, *[1] * (values.ndim - 1))
    return np.rint(values * shrunk).astype(np.int8), enough


def _float_weight(graph: Graph, name: str, values: Array, scale: Array, axis: int) -> str:
    """Write int8 constants whose products are of floats."""
    write = exact_weight if graph.is_exact else _integers
    return write(graph, name, values, scale, axis)


def _integers(graph: Graph, name: str, values: Array, scale: Array, axis: int) -> str:
    """Write int8 (or int32) constants that are multiplied by a scale for each index of `axis`."""
    stored = graph.constant(f"{name}.integers", values), graph.constant(f"{name}.scale", scale)
    zero = graph.constant(f"{name}.zero", np.zeros(scale.shape, values.dtype))
    return graph.add("DequantizeLinear", (*stored, zero), name, axis=axis)


def _integer_bias(graph: Graph, name: str, bias: Array | None, scale: Array) -> str | None:
    return None if bias is None else _integers(graph, f"{name}.bias", np.rint(bias / scale).astype(np.int32), scale, 0)


def _float_bias(graph: Graph, name: str, bias: Array | None) -> str | None:
    return None if bias is None else graph.constant(f"{name}.bias", bias)


FORMS: dict[str, Form] = {
    "AvgPool2d": _average_pool,
    "BatchNorm2d": _batch_norm,
    "BlockSparseLinear": _linear,
    "Conv2d": _convolution,
    "Dropout": _operator("Identity"),
    "Flatten": _operator("Flatten", axis=1),
    "GELU": _gelu,
    "Linear": _linear,
    "MaxPool2d": _max_pool,
    "Network": _network,
    "QuantizedConv2d": _quantized_conv,
    "QuantizedLinear": _quantized_linear,
    "ReLU": _operator("Relu"),
    "Residual": _residual,
    "Sigmoid": _operator("Sigmoid"),
    "Softmax": _operator("Softmax", axis=-1),
    "SparseConv2d": _convolution,
    "SparseLinear": _linear,
    "Tanh": _operator("Tanh"),
}
