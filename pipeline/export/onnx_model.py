"""Write a network as an ONNX model, fp32 or int8 QDQ, that onnxruntime, OpenVINO and others execute.

Needs the extra `[onnx]`. Weights keep their values: fp32 as they are, integers with their scales. Those of 4 bits fill
bytes: as int4 constants of opset 21, onnxruntime 1.31 multiplied them out at every call (measured: 15 times slower).
Inputs of a quantized layer are rounded with one scale for all samples, as these runtimes are deployed: the layer's own
where it is `static`; where it is `dynamic`, tinytorch has a scale for each sample, and here it is calibrated on
`samples`. Outputs then differ by rounding, and for a sample beyond the calibrated range by more. With `none` only the
weights are integers. If there are samples, what residual blocks add up is rounded, too, as the runtimes' own tools do:
onnxruntime then runs all convolutions on integers (measured: 37 µs for the resnet instead of 56).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export.onnx_forms import emit
from pipeline.export.onnx_graph import Graph
from tinytorch.core.layer import Leaf
from tinytorch.core.tensor import Tensor
from tinytorch.kernels.quantized import activation_scale
from tinytorch.models.network import Network, Residual

__all__ = ["INPUT", "OPSET", "OUTPUT", "is_quantized", "to_onnx", "write_onnx"]

Samples: TypeAlias = NDArray[np.float32]

INPUT, OUTPUT = "input", "output"
OPSET = 19  # of 2023: the first whose quantization operators the onnx package itself can execute, for tests


def write_onnx(model: Network, path: Path | str, samples: Samples | None = None, *, is_exact: bool = False) -> None:
    """Write the network to the file `path`; see `to_onnx`."""
    Path(path).write_bytes(to_onnx(model, samples, is_exact=is_exact))


def to_onnx(model: Network, samples: Samples | None = None, *, is_exact: bool = False) -> bytes:
    """Return the network as an ONNX model with a batch axis of any length, checked by the onnx package.

    `samples` (N, *input_shape) calibrate scales: of dynamic activations, and of sums in a quantized network. With
    `is_exact` nothing is calibrated, and outputs are ours but for the order of float32 sums (see `onnx_exact`). Raises
    UserError, naming the layer, for one without an ONNX form, and if samples are needed and missing; EnvironmentProblem
    if onnx is not installed.
    """
    graph = Graph({} if is_exact else _calibrated(model, samples), is_exact)
    last = emit(graph, model, "", INPUT, model.input_shape)
    return _serialized(graph, last, model)


def is_quantized(model: Network) -> bool:
    """Return whether the model is written with integers: any layer has quantized weights, with scales not by group."""
    layers: list[Any] = [layer for _, layer in model.named_layers() if hasattr(layer, "scheme")]
    return any(layer.scheme.group_size is None for layer in layers)


def _calibrated(model: Network, samples: Samples | None) -> dict[str, float]:
    """Return the scales that cover all samples: of inputs of layers with dynamic activations, and of sums."""
    layers: dict[str, Any] = dict(model.named_layers())
    modes = {name: layer.scheme.activations for name, layer in layers.items() if hasattr(layer, "scheme")}
    dynamic = [name for name, mode in modes.items() if mode == "dynamic" and layers[name].scheme.group_size is None]
    if samples is None or not len(samples):
        if dynamic:
            raise UserError(f"{dynamic[0]}: dynamic activations need samples to calibrate a scale with")
        return {}
    sums = dict(_sums("", model)) if modes.keys() - [name for name, mode in modes.items() if mode == "none"] else {}
    observed = {name: _Observed(layers[name]) for name in {*dynamic, *(leaf for leaf, _ in sums.values())}}
    model.replaced(observed).predict(samples)
    scales = {name: _scale(observed[name].most_in) for name in dynamic}
    for name, (leaf, is_output) in sums.items():
        own = getattr(layers[leaf], "activation_scale", None)
        seen = _scale(observed[leaf].most_out if is_output else observed[leaf].most_in)
        scales[name] = seen if is_output or own is None else float(own[0])
    return scales


def _scale(most: float) -> float:
    return float(np.float32(activation_scale(np.array([[most]]))))


def _sums(prefix: str, network: Network) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield for both ways of each residual block where to observe what is added: a leaf, at its output or input."""
    for child, layer in network.children().items():
        name = f"{prefix}{child}"
        if isinstance(layer, Residual):
            leaves = [leaf for leaf, _ in layer.body.named_layers()]
            yield f"{name}.body", (f"{name}.{leaves[-1]}", True)
            yield f"{name}.shortcut", (f"{name}.{leaves[0]}", False)
            if layer.shortcut is not None:
                around = [leaf for leaf, _ in layer.shortcut.named_layers()]
                yield f"{name}.shortcut", (f"{name}.shortcut.{around[-1]}", True)
            yield from _sums(f"{name}.", layer.body)
        elif isinstance(layer, Network):
            yield from _sums(f"{name}.", layer)


class _Observed(Leaf):
    """A layer that remembers the largest magnitudes it was given and gave."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.most_in = self.most_out = 0.0

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer.forward(x)
        self.most_in = max(self.most_in, float(np.abs(x.data).max(initial=0)))
        self.most_out = max(self.most_out, float(np.abs(out.data).max(initial=0)))
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)  # type: ignore[no-any-return]


def _serialized(graph: Graph, last: str, model: Network) -> bytes:
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise EnvironmentProblem(
            f"ONNX needs the package onnx: {error}", hint='pip install "tinytorch-pipeline[onnx]"'
        ) from error
    nodes = [
        helper.make_node(
            op.kind,
            list(op.inputs),
            [OUTPUT if op.output == last else op.output],
            name=op.output,
            **op.attributes,
        )
        for op in graph.operations
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    shapes = {INPUT: model.input_shape, OUTPUT: model.output_shape(model.input_shape)}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in shapes.items()]
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(
        helper.make_graph(nodes, "tinytorch", ends[:1], ends[1:], constants),
        opset_imports=opset,
        ir_version=helper.find_min_ir_version_for(opset),
        producer_name="tinytorch-pipeline",
    )
    checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString()
    return data
