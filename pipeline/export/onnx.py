"""Write a network as an ONNX model, fp32 or int8 QDQ, that onnxruntime, OpenVINO and others execute.

Needs the extra `[peers]`. Weights keep their values: fp32 as they are, integers with their scales. Those of 4 bits fill
bytes: as int4 constants of opset 21, onnxruntime 1.31 multiplied them out at every call (measured: 15 times slower).
Inputs of a quantized layer are rounded with one scale for all samples, as these runtimes are deployed: the layer's own
where it is `static`; where it is `dynamic`, tinytorch has a scale for each sample, and here it is calibrated on
`samples`. Outputs then differ by rounding, and for a sample beyond the calibrated range by more. With `none` only the
weights are integers.
"""

from __future__ import annotations

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
from tinytorch.models.network import Network

__all__ = ["INPUT", "OPSET", "OUTPUT", "is_quantized", "to_onnx", "write_onnx"]

Samples: TypeAlias = NDArray[np.float32]

INPUT, OUTPUT = "input", "output"
OPSET = 19  # of 2023: the first whose quantization operators the onnx package itself can execute, for tests


def write_onnx(model: Network, path: Path | str, samples: Samples | None = None) -> None:
    """Write the network to the file `path`; see `to_onnx`."""
    Path(path).write_bytes(to_onnx(model, samples))


def to_onnx(model: Network, samples: Samples | None = None) -> bytes:
    """Return the network as an ONNX model with a batch axis of any length, checked by the onnx package.

    `samples` (N, *input_shape) calibrate the scales of dynamic activations. Raises UserError, naming the layer, for
    one without an ONNX form, and if samples are needed and missing; EnvironmentProblem if onnx is not installed.
    """
    graph = Graph(_calibrated(model, samples))
    last = emit(graph, model, "", INPUT, model.input_shape)
    return _serialized(graph, last, model)


def is_quantized(model: Network) -> bool:
    """Return whether the model is written with integers: any layer has quantized weights."""
    return any(hasattr(layer, "scheme") for _, layer in model.named_layers())


def _calibrated(model: Network, samples: Samples | None) -> dict[str, float]:
    """Return for each layer with dynamic activations the scale that covers its inputs on all samples."""
    layers = dict(model.named_layers())
    observed = {name: _Observed(layer) for name, layer in layers.items() if _is_dynamic(layer)}
    if not observed:
        return {}
    if samples is None or not len(samples):
        raise UserError(f"{next(iter(observed))}: dynamic activations need samples to calibrate a scale with")
    model.replaced(observed).predict(samples)
    return {name: float(np.float32(activation_scale(np.array([[layer.most]])))) for name, layer in observed.items()}


def _is_dynamic(layer: Any) -> bool:
    scheme = getattr(layer, "scheme", None)
    return scheme is not None and scheme.activations == "dynamic"


class _Observed(Leaf):
    """A layer that remembers the largest magnitude it was given."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.most = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.most = max(self.most, float(np.abs(x.data).max(initial=0)))
        return self.layer.forward(x)  # type: ignore[no-any-return]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)  # type: ignore[no-any-return]


def _serialized(graph: Graph, last: str, model: Network) -> bytes:
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise EnvironmentProblem(
            f"ONNX needs the package onnx: {error}", hint='pip install "tinytorch-pipeline[peers]"'
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
