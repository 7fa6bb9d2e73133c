"""What the bench `kernels` compares: for each case a function that builds its sides, callables that take no arguments.

Ours is always `InferenceSession.run`, as a user calls it. BLAS is NumPy with preallocated outputs. Where weights are
larger than a cache could be, every side walks through copies of them, 256 MB in all, so that each call reads its
weights from memory as a network of that size would.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export.onnx_model import to_onnx
from pipeline.measure.peer_torch import to_torch
from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.passes import load_pass
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import clone

Array = NDArray[np.float32]
Call = Callable[[], Any]
Sides = dict[str, Call]

STREAMED_BYTES = 256 * 2**20  # eight times the last cache level of the machine this was written on
SMALL, MEDIUM = (64, 128, 10), (784, 512, 512, 10)


def mlp(sizes: Sequence[int]) -> Network:
    """Return linear layers with ReLU in between."""
    rng = np.random.default_rng(0)
    layers: dict[str, Layer] = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        layers[f"fc{number}"] = Linear(inputs, outputs, rng=rng)
        if number < len(sizes) - 2:
            layers[f"relu{number}"] = ReLU()
    return Network(layers, (sizes[0],))


def compressed(model: Network, name: str, **params: Any) -> Network:
    """Apply a pass by its parameters in an experiment file."""
    chosen = load_pass(name)
    data = {"train": _Samples(np.random.default_rng(1).standard_normal((256, *model.input_shape)).astype(np.float32))}
    made: Network = chosen.apply(model, chosen.Settings.from_params(params), data, 0)[0]
    made.eval()
    return made


class _Samples(Split):
    """Samples of any shape, where a split of a dataset has images."""

    def __init__(self, samples: Array) -> None:
        object.__setattr__(self, "samples", samples)

    def __len__(self) -> int:
        return len(self.samples)

    def images(self, index: Any = slice(None)) -> Array:
        """Return the samples at `index`."""
        return self.samples[index]


def inputs(batch: int, shape: Sequence[int]) -> Array:
    """Return the samples of a call."""
    return np.random.default_rng(2).standard_normal((batch, *shape)).astype(np.float32)


def ours(model: Network, x: Array) -> Call:
    """Return a call of the session, whose answers are first compared with those of the eager layers."""
    model.eval()
    run = InferenceSession(model, batch=len(x), choices="measure").run
    np.testing.assert_allclose(run(x), model.predict(x, batch_size=len(x)), rtol=1e-3, atol=1e-3)
    return lambda: run(x)


def numpy_mlp(model: Network, x: Array) -> Call:
    """Return the network in plain NumPy: matrix products into arrays that exist, bias and ReLU in place."""
    linears = [layer for _, layer in model.named_layers() if isinstance(layer, Linear)]
    weights = [np.ascontiguousarray(layer.weight.data) for layer in linears]
    biases = [layer.bias.data for layer in linears if layer.bias is not None]
    outs = [np.empty((len(x), weight.shape[1]), np.float32) for weight in weights]

    def call() -> Array:
        h = x
        for weight, bias, out in zip(weights, biases, outs, strict=True):
            np.matmul(h, weight, out=out)
            np.add(out, bias, out=out)
            if out is not outs[-1]:
                np.maximum(out, 0, out=out)
            h = out
        return h

    return call


def onnxruntime_call(model: bytes, x: Array) -> Call:
    """Return onnxruntime's `run` with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run
    return lambda: run(None, {"input": x})[0]


def dynamic_int8(model: Network) -> bytes:
    """Return the network as onnxruntime's own tool quantizes it dynamically."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(to_onnx(model))
        quantize_dynamic(before, after, weight_type=QuantType.QInt8)
        return after.read_bytes()


def openvino_call(model: bytes, x: Array) -> Call:
    """Return OpenVINO's call with one thread."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(openvino.Core().read_model(model), "CPU", settings)
    return lambda: compiled(x)[0]


def torch_call(model: Network, x: Array, *, is_channels_last: bool = False) -> Call:
    """Return the eager module in inference mode with one thread, with channels last if asked for."""
    import torch

    torch.set_num_threads(1)
    module, tensor = to_torch(model), torch.from_numpy(x)
    if is_channels_last:
        module, tensor = module.to(memory_format=torch.channels_last), tensor.to(memory_format=torch.channels_last)

    def call() -> Any:
        with torch.inference_mode():
            return module(tensor)

    return call


def copies(make: Callable[[], Call], size_bytes: int) -> Call:
    """Return a call that goes round as many copies as stream from memory."""
    turns = itertools.cycle([make() for _ in range(max(1, -(-STREAMED_BYTES // size_bytes)))])
    return lambda: next(turns)()


def small_fp32() -> Sides:
    """64-128-10, batch 1."""
    model, x = mlp(SMALL), inputs(1, (64,))
    fp32 = to_onnx(model)
    return {
        "session": ours(model, x),
        "onnxruntime": onnxruntime_call(fp32, x),
        "torch": torch_call(model, x),
        "numpy": numpy_mlp(model, x),
    }


def medium_int8() -> Sides:
    """784-512-512-10, batch 1, int8 with dynamic activations."""
    model, x = mlp(MEDIUM), inputs(1, (784,))
    return {
        "session": ours(compressed(model, "quantize", bits=8), x),
        "onnxruntime": onnxruntime_call(dynamic_int8(model), x),
        "numpy": numpy_mlp(model, x),
    }


def medium_half_int8() -> Sides:
    """The same with half the neurons removed."""
    model, x = mlp(MEDIUM), inputs(1, (784,))
    half = compressed(model, "structured_prune", sparsity=0.5, **{"except": ["fc2"]})
    return {"session": ours(compressed(half, "quantize", bits=8), x), "numpy": numpy_mlp(model, x)}


def medium_int8_batch() -> Sides:
    """784-512-512-10, batch 256, int8 with static activations, as the peers have them."""
    model, x = mlp(MEDIUM), inputs(256, (784,))
    static = compressed(model, "quantize", bits=8, activations="static")
    qdq = to_onnx(static, x)
    return {
        "session": ours(static, x),
        "onnxruntime": onnxruntime_call(qdq, x),
        "openvino": openvino_call(qdq, x),
        "numpy": numpy_mlp(model, x),
    }


def _square(size: int) -> Network:
    return Network({"fc": Linear(size, size, bias=False, rng=np.random.default_rng(0))}, (size,))


def _blas(size: int, x: Array) -> Call:
    weight = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    vector, out = np.ascontiguousarray(x[0]), np.empty(size, np.float32)
    return lambda: np.matmul(weight, vector, out=out)


# What a core reads of memory at best: 34 GB/s where NumPy's fastest reduction over the same array read 29.
_READ = """
unsigned long long read_all(const unsigned long long *at, long count) {
    unsigned long long a = 0, b = 0, c = 0, d = 0;
    long quarter = count / 4;
    for (long i = 0; i < quarter; i++) {
        a |= at[i]; b |= at[quarter + i]; c |= at[2 * quarter + i]; d |= at[3 * quarter + i];
    }
    return a | b | c | d;
}
"""


def _streaming() -> Call:
    compiler = os.environ.get("CC", "cc")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "read.c"), Path(folder, "read.so")
        source.write_text(_READ)
        flags = ["-O3", "-march=native", "-funroll-loops", "-fPIC", "-shared"]
        subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
        read = ctypes.CDLL(str(library)).read_all
    read.argtypes, read.restype = [ctypes.c_void_p, ctypes.c_long], ctypes.c_uint64
    memory = np.ones(STREAMED_BYTES // 8, np.uint64)
    return lambda: (read(memory.ctypes.data, len(memory)), memory)[0]


def gemv(size: int, bits: int, **params: Any) -> Callable[[], Sides]:
    """A matrix times a vector in integers, streamed from memory; `memory` reads STREAMED_BYTES."""

    def build() -> Sides:
        x = inputs(1, (size,))
        model = compressed(_square(size), "quantize", bits=bits, **params)
        ours(model, x)  # compares the answers once
        choices = InferenceSession(model, batch=1, choices="measure").choices
        session = partial(InferenceSession, batch=1, choices=choices)
        return {
            "session": copies(lambda: partial(session(clone(model)).run, x), size * size * bits // 8),
            "BLAS": copies(lambda: _blas(size, x), 4 * size * size),
            "memory": _streaming(),
        }

    return build


def gemv_cached(size: int) -> Callable[[], Sides]:
    """The same without copies: one matrix, wherever it fits."""

    def build() -> Sides:
        x = inputs(1, (size,))
        return {"session": ours(compressed(_square(size), "quantize", bits=8), x), "BLAS": _blas(size, x)}

    return build


def blocks(size: int, sparsity: float) -> Callable[[], Sides]:
    """A block-sparse matrix times a vector, against the dense one."""

    def build() -> Sides:
        x = inputs(1, (size,))
        model = compressed(_square(size), "block_prune", sparsity=sparsity)
        return {"session": ours(model, x), "BLAS": _blas(size, x)}

    return build


def conv(batch: int) -> Callable[[], Sides]:
    """Convolution 3x3 of 32 x 32 images from 32 to 64 channels, fp32; both sides keep channels last."""

    def build() -> Sides:
        rng = np.random.default_rng(0)
        model = Network({"conv": Conv2d(32, 64, 3, padding=1, rng=rng)}, (32, 32, 32))
        x = inputs(batch, (32, 32, 32))
        return {"session": ours(model, x), "torch": torch_call(model, x, is_channels_last=True)}

    return build


CASES: Mapping[str, Callable[[], Sides]] = {
    "64-128-10 fp32": small_fp32,
    "784-512-512-10 int8": medium_int8,
    "784-512-512-10 half, int8": medium_half_int8,
    "784-512-512-10 int8, batch 256": medium_int8_batch,
    **{f"int8 {size}²": gemv(size, 8) for size in (2048, 4096)},
    **{f"int4 {size}²": gemv(size, 4, weights="per_group", group_size=64) for size in (2048, 4096)},
    **{f"16x1 blocks 1024², {round(100 * share)} %": blocks(1024, share) for share in (0.5, 0.9)},
    **{f"conv 3x3, batch {batch}": conv(batch) for batch in (1, 64)},
    **{f"int8 cached {size}²": gemv_cached(size) for size in (1024, 2048, 4096)},
}
