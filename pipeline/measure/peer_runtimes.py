"""Other runtimes as arms: load a network as their users would, with a number of threads, and call it on an array.

Each is imported when it is asked for (extra `[peers]`). Options are the runtimes' defaults but for the threads and what
keeps the computation the one that was exported; `RUNTIMES` says all of them in words for the record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.model import load_model
from pipeline.measure.peer_torch import torch_call

__all__ = ["RUNTIMES", "Runtime", "ThreadsIgnored"]

Query = NDArray[np.float32]
Call = Callable[[Query], NDArray[Any]]


class ThreadsIgnored(Exception):
    """A runtime works with another number of threads than it was told."""


@dataclass(frozen=True)
class Runtime:
    """How a runtime is used: from a stored file and a number of threads to a function that is timed; `called` says it.

    `reads` is the file it takes: "onnx" or "safetensors". Loading and all calls happen inside `context()`.
    """

    load: Callable[[Path, int], Call]
    reads: str
    called: str
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def _onnxruntime(path: Path, threads: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    data = path.read_bytes()
    if b"DequantizeLinear" in data and b"QuantizeLinear" not in data:
        # Only weights are integers: else it multiplies them out at every call (measured: 217 µs a call instead of 12).
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    run = session.run
    return lambda query: run(None, {name: query})[0]


def _openvino(path: Path, threads: int) -> Call:
    # Telemetry starts a thread that talks to the network and forks: neither belongs into a measurement, and it
    # deadlocks with the threads of OpenBLAS (seen). Without its package OpenVINO works the same.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    found = compiled.get_property("INFERENCE_NUM_THREADS")
    if found != threads:
        raise ThreadsIgnored(f"openvino was told to use {threads} threads and uses {found}")
    return lambda query: compiled(query)[0]


def _torch(path: Path, threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != threads:  # it can be set once only
        torch.set_num_interop_threads(threads)
    if torch.get_num_threads() != threads:
        raise ThreadsIgnored(f"torch was told to use {threads} threads and uses {torch.get_num_threads()}")
    return torch_call(load_model(str(path)))


def _inference_mode() -> AbstractContextManager[Any]:
    """Switch gradients off for the whole process, as a user does around a loop, and as ours are."""
    import torch

    context: AbstractContextManager[Any] = torch.inference_mode()
    return context


RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": Runtime(
        _onnxruntime,
        "onnx",
        "InferenceSession(file, CPUExecutionProvider).run(None, {input: array})[0]; intra_op_num_threads and "
        "inter_op_num_threads as benchmark.threads, all graph optimizations (the default), session.disable_quant_qdq "
        "for a network of which only the weights are integers",
    ),
    "openvino": Runtime(
        _openvino,
        "onnx",
        "Core().compile_model(file, 'CPU')(array)[0]; INFERENCE_NUM_THREADS as benchmark.threads, "
        "INFERENCE_PRECISION_HINT f32, without telemetry",
    ),
    "torch": Runtime(
        _torch,
        "safetensors",
        "torch.nn modules, eager, in inference_mode: module(from_numpy(array)).numpy(), images with channels last; "
        "set_num_threads and set_num_interop_threads as benchmark.threads",
        _inference_mode,
    ),
}
