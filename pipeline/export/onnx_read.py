"""A network from an ONNX file, if it is made of operators that our layers cover; all others are named at once.

The file is not trusted: its size, the number of its operations and of its values are bounded, weights that lie in other
files are not followed, and nothing in it is executed. A chain of operations becomes a Network, two ways that are added
and rectified a Residual; weights are kept as they are, float16 and float64 rounded to float32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import EnvironmentProblem, UserError
from tinytorch.core.activations import ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.models.network import Network, Residual

__all__ = ["OPERATORS", "read_onnx"]

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Made: TypeAlias = tuple[Layer | None, Shape]

_MOST_BYTES = 1 << 31
_MOST_NODES = 4096
_MOST_VALUES = 1 << 28
_MOST_DEPTH = 8
_FLOATS = ("float16", "float32", "float64")


def read_onnx(path: Path) -> Network:
    """Return the network of a file; raises UserError, naming every operation that no layer of ours does."""
    graph = _Graph(_parsed(path), path)
    graph.check_operators()
    try:
        layers, _, end = graph.chain(graph.input, graph.shape, None, 1)
        if end != graph.output:
            raise UserError(f"{path}: its output {graph.output!r} is not where the chain from its input ends ({end!r})")
        return Network(layers, graph.shape).eval()
    except (KeyError, OverflowError, TypeError, ValueError) as error:  # what wrong attributes and shapes lead to
        raise UserError(f"{path}: not a network that can be read: {error}") from error


def _parsed(path: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise EnvironmentProblem("onnx is not installed", hint='pip install "tinytorch-pipeline[onnx]"') from error
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        if not path.is_file():
            raise UserError(f"{path}: there is no such file")
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise UserError(f"{path}: found {size:,} bytes, expected at most {_MOST_BYTES:,}")
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise UserError(f"{path}: not an ONNX file: {str(error)[:200]}") from error
    if not 0 < len(model.graph.node) <= _MOST_NODES:
        raise UserError(f"{path}: found {len(model.graph.node)} operations, expected 1 to {_MOST_NODES}")
    return model


class _Graph:
    """The operations of a file by the values they take and give, and its constants."""

    def __init__(self, model: Any, path: Path) -> None:
        self._path = path
        self._constants = {tensor.name: self._array(tensor) for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
                self._constants[node.output[0]] = self._array(node.attribute[0].t)
        self._nodes = [node for node in model.graph.node if node.op_type != "Constant" and not self._is_folded(node)]
        inputs = [one for one in model.graph.input if one.name not in self._constants]
        if len(inputs) != 1 or len(model.graph.output) != 1:
            found = f"{len(inputs)} inputs and {len(model.graph.output)} outputs"
            raise UserError(f"{path}: found {found}, expected one of each")
        self.input, self.output = inputs[0].name, model.graph.output[0].name
        self.shape = self._sample_shape(inputs[0])
        self._takers: dict[str, list[Any]] = {}
        for node in self._nodes:
            for name in dict.fromkeys(node.input):
                self._takers.setdefault(name, []).append(node)
        self._names: set[str] = set()

    def _is_folded(self, node: Any) -> bool:
        """Compute what only turns or renames a constant, as exporters write it; return whether it did."""
        known = self._constants.get(node.input[0]) if len(node.input) == 1 else None
        if known is None or node.op_type not in ("Identity", "Transpose"):
            return False
        is_turned = node.op_type == "Transpose"
        self._constants[node.output[0]] = known.transpose(_attributes(node).get("perm")) if is_turned else known
        return True

    def _array(self, tensor: Any) -> Array:
        import onnx

        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise UserError(
                f"{self._path}: the weights {tensor.name!r} lie in another file, which is not followed",
                hint="save the model as one file",
            )
        if any(size < 0 for size in tensor.dims) or np.prod([float(size) for size in tensor.dims]) > _MOST_VALUES:
            raise UserError(f"{self._path}: the weights {tensor.name!r} are of shape {tuple(tensor.dims)[:8]}")
        try:
            array: Array = onnx.numpy_helper.to_array(tensor)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self._path}: the weights {tensor.name!r} cannot be read: {error}") from error
        return array

    def _sample_shape(self, value: Any) -> Shape:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
        if len(sizes) not in (1, 3) or not all(0 < size <= 1 << 16 for size in sizes):
            raise UserError(
                f"{self._path}: its input {value.name!r} has samples of shape {tuple(sizes)}",
                hint="expected (features,) or (channels, height, width), all of them fixed; the batch size may be free",
            )
        return tuple(sizes)

    def check_operators(self) -> None:
        """Raise UserError with every operation that is not in OPERATORS."""
        known = OPERATORS.keys() | {"Add", "Identity"}
        foreign: dict[str, int] = {}
        for node in self._nodes:
            kind = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
            if kind not in known:
                foreign[kind] = foreign.get(kind, 0) + 1
        if foreign:
            listed = ", ".join(f"{kind} ({count})" for kind, count in sorted(foreign.items()))
            raise UserError(
                f"{self._path}: no layer of ours does {listed[:1000]}",
                hint=f"operators that are read: {', '.join(sorted(known))}",
            )

    def chain(self, value: str, shape: Shape, end: Any, depth: int) -> tuple[dict[str, Layer], Shape, str]:
        """Return the layers from a value on, the shape they give and the value, up to the operation `end`."""
        layers: dict[str, Layer] = {}
        for _ in range(len(self._nodes) + 1):
            takers = self._takers.get(value, [])
            if not takers or takers == [end] or value == self.output:
                return layers, shape, value
            if len(takers) > 1:
                name, layer, value = self._residual(value, shape, takers, depth)
                layers[name], shape = layer, layer.output_shape(shape)
                continue
            (node,) = takers
            made = self._layer(node, value, shape)
            value = node.output[0]
            if isinstance(made, Linear) and (bias := self._bias_after(value, made)) is not None:
                made, value = _with_bias(made, bias[0]), bias[1]
            if made is not None:
                layers[self._name(node)] = made
                shape = made.output_shape(shape)
        raise UserError(f"{self._path}: its operations form a circle")

    def _layer(self, node: Any, value: str, shape: Shape) -> Layer | None:
        if node.op_type == "Identity":
            return None
        if node.op_type == "Add":
            raise UserError(f"{self._path}: {self._told(node)} adds what is neither a bias nor the way around a block")
        constants = [self._constants.get(name) for name in node.input if name != value]
        # What is no constant would be a second input, and what is missing has no name.
        wanting = [name for name in node.input if name and name != value and name not in self._constants]
        if wanting:
            raise UserError(f"{self._path}: {self._told(node)} takes {wanting[0]!r} besides, which is no constant")
        try:
            return OPERATORS[node.op_type](_attributes(node), [one for one in constants if one is not None], shape)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self._path}: {self._told(node)}: {error}") from error

    def _told(self, node: Any) -> str:
        return f"{node.op_type} {node.name or node.output[0]!r}"[:200]

    def _bias_after(self, value: str, layer: Linear) -> tuple[Array, str] | None:
        """Return a bias that is added to a product on its own, and the value after that."""
        takers = self._takers.get(value, [])
        if layer.bias is not None or len(takers) != 1 or takers[0].op_type != "Add":
            return None
        others = [self._constants.get(name) for name in takers[0].input if name != value]
        if len(others) != 1 or others[0] is None or others[0].shape not in ((layer.out_features,), (1,), ()):
            return None
        return others[0], takers[0].output[0]

    def _residual(self, value: str, shape: Shape, takers: Sequence[Any], depth: int) -> tuple[str, Residual, str]:
        """Return the block that begins where two operations take a value, and the value it gives."""
        end = self._meeting(value)
        if len(takers) != 2 or end is None or depth >= _MOST_DEPTH:
            raise UserError(f"{self._path}: {len(takers)} operations take {value!r}, and two of them do not meet again")
        after = self._takers.get(end.output[0], [])
        if len(after) != 1 or after[0].op_type != "Relu":
            raise UserError(f"{self._path}: {self._told(end)} joins two ways; only a Relu after the sum is read")
        ways = []
        for taker in takers:
            if taker is end:
                continue
            kept, self._takers[value] = self._takers[value], [taker]
            ways.append(self.chain(value, shape, end, depth + 1)[0])
            self._takers[value] = kept
        ways.sort(key=len, reverse=True)  # the longer one is the body
        body, shortcut = ways[0], ways[1] if len(ways) > 1 else None
        block = Residual(Network(body, shape), Network(shortcut, shape) if shortcut else None)
        return self._name(after[0], "block"), block, after[0].output[0]

    def _meeting(self, value: str) -> Any:
        """Return the first Add that both ways from a value lead to."""
        reached: list[list[Any]] = []
        for taker in self._takers[value]:
            way, node = [taker], taker
            while len(way) <= len(self._nodes) and len(self._takers.get(node.output[0], [])) == 1:
                node = self._takers[node.output[0]][0]
                way.append(node)
            reached.append(way)
        return next(
            (node for node in reached[0] if node.op_type == "Add" and any(node is o for o in reached[-1])), None
        )

    def _name(self, node: Any, kind: str = "") -> str:
        """Return a name for a layer: that of its operation as far as it can be one, and no name twice."""
        words = re.sub(r"[^A-Za-z0-9_]+", "_", node.name or "").strip("_")
        base = kind or (words if re.match("[A-Za-z]", words) else node.op_type.lower())
        base = base[-56:] if re.match("[A-Za-z]", base[-56:]) else node.op_type.lower()
        name, number = base, 1
        while name in self._names or name == "shortcut":
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def _float(array: Array) -> Array:
    if array.dtype.name not in _FLOATS:
        raise ValueError(f"found weights of {array.dtype}, expected one of {', '.join(_FLOATS)}")
    if not np.isfinite(array).all():
        raise ValueError("found weights that are NaN or infinite, expected finite ones")
    return array.astype(np.float32)


def _expect(attributes: Mapping[str, Any], **expected: Any) -> None:
    """Raise ValueError unless each attribute that is there has the one value that our layer has."""
    for name, value in expected.items():
        found = attributes.get(name, value)
        found = list(found) if isinstance(found, tuple) else found
        if found != value and found != (value.encode() if isinstance(value, str) else value):
            raise ValueError(f"found {name} {found!r}, expected {value!r}")


def _linear(weight: Array, bias: Array | None) -> Linear:
    if weight.ndim != 2:
        raise ValueError(f"found weights of shape {weight.shape}, expected a matrix")
    inputs, outputs = weight.shape
    layer = Linear(inputs, outputs, bias=bias is not None, rng=np.random.default_rng(0))
    layer.weight.data[...] = _float(weight)
    if layer.bias is not None and bias is not None:
        layer.bias.data[...] = np.broadcast_to(_float(bias), (weight.shape[1],))
    return layer


def _with_bias(layer: Linear, bias: Array) -> Linear:
    return _linear(layer.weight.data, bias)


def _gemm(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    _expect(attributes, alpha=1.0, beta=1.0, transA=0)
    weight = constants[0].T if attributes.get("transB") else constants[0]
    return _linear(weight, constants[1] if len(constants) > 1 else None)


def _window(attributes: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    kernel = tuple(attributes["kernel_shape"])
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    _expect(attributes, auto_pad="NOTSET", dilations=[1, 1], ceil_mode=0, group=1)
    if len(kernel) != 2 or pads[:2] != pads[2:]:
        raise ValueError(f"found kernel {kernel} with pads {pads}, expected two sizes and the same pads on both sides")
    stride, padding = tuple(attributes.get("strides", [1, 1])), tuple(pads[:2])
    return {"kernel_size": kernel, "stride": stride, "padding": padding}


def _conv(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    weight = constants[0]
    window = _window({"kernel_shape": weight.shape[2:], **attributes})
    outputs, inputs, *kernel = weight.shape
    if tuple(kernel) != window["kernel_size"]:
        raise ValueError(f"found weights of shape {weight.shape} and kernel {window['kernel_size']}")
    layer = Conv2d(inputs, outputs, bias=len(constants) > 1, rng=np.random.default_rng(0), **window)
    layer.weight.data[...] = _float(weight)
    if layer.bias is not None:
        layer.bias.data[...] = _float(constants[1])
    return layer


def _batch_norm(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    _expect(attributes, training_mode=0)
    gamma, beta, mean, var = map(_float, constants)
    layer = BatchNorm2d(len(gamma), eps=float(attributes.get("epsilon", 1e-5)))
    layer.gamma.data[...], layer.beta.data[...] = gamma, beta
    layer.running_mean[...], layer.running_var[...] = mean, var
    return layer


def _average(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    window = _window(attributes)
    if any(window["padding"]):
        _expect({"count_include_pad": 0, **attributes}, count_include_pad=1)
    return AvgPool2d(**window)


def _flatten(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    _expect(attributes, axis=1)
    return Flatten()


def _reshape(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    target = constants[0].tolist()
    if len(target) != 2 or target[1] not in (-1, int(np.prod(shape))):
        raise ValueError(f"found the shape {target[:8]}, expected to flatten samples of {shape}")
    return Flatten()


def _softmax(attributes: Mapping[str, Any], constants: Sequence[Array], shape: Shape) -> Layer:
    axis = attributes.get("axis", -1)
    if axis not in (-1, len(shape)):
        raise ValueError(f"found axis {axis}, expected the last")
    return Softmax()


OPERATORS: dict[str, Callable[[Mapping[str, Any], Sequence[Array], Shape], Layer]] = {
    "AveragePool": _average,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Dropout": lambda attributes, constants, shape: Dropout(0.5),
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda attributes, constants, shape: AvgPool2d((shape[1], shape[2])),
    "MatMul": lambda attributes, constants, shape: _linear(constants[0], None),
    "MaxPool": lambda attributes, constants, shape: MaxPool2d(**_window(attributes)),
    "Relu": lambda attributes, constants, shape: ReLU(),
    "Reshape": _reshape,
    "Sigmoid": lambda attributes, constants, shape: Sigmoid(),
    "Softmax": _softmax,
    "Tanh": lambda attributes, constants, shape: Tanh(),
}
