"""The course's Profiler: parameters, floating-point operations, memory and time of a model, measured on this machine.

FLOPs are two for each multiply-accumulate of linear layers, convolutions and attention, for one sample; elementwise
work counts as none. Megabytes are 1024² bytes. Forward passes run as for inference: dropout off, no gradients recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from tinytorch.core.tensor import MB_TO_BYTES, Tensor
from tinytorch.perf.structure import Pass, held_bytes, inference, parameter_count, parameters_of, run, trace
from tinytorch.perf.timing import durations_ms, machine_balance, peak_bytes

__all__ = ["Profiler", "analyze_weight_distribution", "quick_profile"]

FLOPS_PER_MAC = 2
BACKWARD_PER_FORWARD = 2  # one product for the weights' gradient and one for the input's
# optimizer state in parameter-sized arrays: momentum; first and second moments
OPTIMIZER_ARRAYS = {"sgd": 1, "adam": 2, "adamw": 2}


class Profiler:
    """Measure models; as a context manager it times its block, in milliseconds in `elapsed`."""

    elapsed: float = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.elapsed = (time.perf_counter_ns() - self._start) / 1e6

    def count_parameters(self, model: Any) -> int:
        """Return the number of learned values."""
        return parameter_count(model)

    def count_flops(self, model: Any, input_shape: tuple[int, ...]) -> int:
        """Return the floating-point operations of one sample, by running the model once on an input of `input_shape`.

        `input_shape` includes the batch axis, whose length does not matter. Raises NotImplementedError for a layer that
        holds no others and does not say its `macs`.
        """
        return FLOPS_PER_MAC * sum(_macs(step) for step in trace(model, tuple(input_shape)))

    def measure_memory(self, model: Any, input_shape: tuple[int, ...]) -> dict[str, float]:
        """Return the megabytes of parameters, of all layer outputs, and at the peak of a forward pass.

        `memory_efficiency` is the share (0 to 1) of the peak that is parameters and layer outputs.
        """
        shape = tuple(input_shape)
        x = Tensor(np.zeros(shape))
        parameters = held_bytes(model) / MB_TO_BYTES
        activations = sum(4 * int(np.prod(step.output_shape)) for step in trace(model, shape)) / MB_TO_BYTES
        with inference(model):
            peak = parameters + (x.memory_footprint() + peak_bytes(lambda: run(model, x))) / MB_TO_BYTES
        return {
            "parameter_memory_mb": parameters,
            "activation_memory_mb": activations,
            "peak_memory_mb": peak,
            "memory_efficiency": min(1.0, (parameters + activations) / peak) if peak else 0.0,
        }

    def measure_latency(self, model: Any, input_tensor: Tensor, warmup: int = 10, iterations: int = 100) -> float:
        """Return the median milliseconds of a forward pass."""
        with inference(model):
            return float(np.median(durations_ms(lambda: run(model, input_tensor), warmup, iterations)))

    def profile_layer(self, layer: Any, input_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return type, parameters, FLOPs, latency, GFLOP/s and memory of one layer for an input of `input_shape`."""
        rng = np.random.default_rng(0)
        x = Tensor(rng.standard_normal(tuple(input_shape)))
        flops = self.count_flops(layer, x.shape)
        latency = self.measure_latency(layer, x)
        return {
            "layer_type": type(layer).__name__,
            "parameters": self.count_parameters(layer),
            "flops": flops,
            "latency_ms": latency,
            "gflops_per_second": flops * _batch(x) / latency / 1e6,
            **self.measure_memory(layer, x.shape),
        }

    def profile_forward_pass(self, model: Any, input_tensor: Tensor) -> dict[str, Any]:
        """Return counts, latency, memory and what bounds a forward pass on this machine.

        `computational_efficiency` is the share of the fastest matrix product measured here; `bottleneck` is "memory"
        if the pass does fewer operations for each byte it must read or write than the machine can, else "compute".
        """
        flops = self.count_flops(model, input_tensor.shape)
        latency = self.measure_latency(model, input_tensor)
        memory = self.measure_memory(model, input_tensor.shape)
        done = flops * _batch(input_tensor)
        moved = held_bytes(model) + input_tensor.memory_footprint() + memory["activation_memory_mb"] * MB_TO_BYTES
        balance = machine_balance()
        is_memory_bound = done / moved < balance.flops_per_byte if moved else False
        return {
            "parameters": self.count_parameters(model),
            "flops": flops,
            "latency_ms": latency,
            **memory,
            "gflops_per_second": done / latency / 1e6,
            "memory_bandwidth_mbs": moved / MB_TO_BYTES / latency * 1e3,
            "computational_efficiency": done / latency * 1e3 / balance.flops_per_s,
            "is_memory_bound": is_memory_bound,
            "is_compute_bound": not is_memory_bound,
            "bottleneck": "memory" if is_memory_bound else "compute",
        }

    def profile_backward_pass(
        self, model: Any, input_tensor: Tensor, loss_fn: Callable[[Tensor], Tensor] | None = None
    ) -> dict[str, Any]:
        """Return cost, time and memory of a forward and backward pass; `loss_fn` of the output is its sum if left out.

        Backward FLOPs follow the usual count of twice the forward ones; its time is measured. Gradients that the model
        had are put back. `optimizer_memory_estimates` are megabytes of state, for SGD with momentum.
        """
        forward = self.profile_forward_pass(model, input_tensor)
        parameters = parameters_of(model)
        before = [p.grad for p in parameters]
        latency, gradient_mb = _backward(model, input_tensor, loss_fn or Tensor.sum)
        for p, grad in zip(parameters, before, strict=True):
            p.grad = grad
        flops = BACKWARD_PER_FORWARD * forward["flops"]
        total_ms = forward["latency_ms"] + latency
        parameter_mb = sum(p.memory_footprint() for p in parameters) / MB_TO_BYTES
        return {
            "forward_flops": forward["flops"],
            "forward_latency_ms": forward["latency_ms"],
            "forward_memory_mb": forward["peak_memory_mb"],
            "backward_flops": flops,
            "backward_latency_ms": latency,
            "gradient_memory_mb": gradient_mb,
            "total_flops": forward["flops"] + flops,
            "total_latency_ms": total_ms,
            "total_memory_mb": forward["peak_memory_mb"] + gradient_mb,
            "total_gflops_per_second": (forward["flops"] + flops) * _batch(input_tensor) / total_ms / 1e6,
            "optimizer_memory_estimates": {name: n * parameter_mb for name, n in OPTIMIZER_ARRAYS.items()},
            "memory_efficiency": forward["memory_efficiency"],
            "bottleneck": forward["bottleneck"],
        }


def quick_profile(model: Any, input_tensor: Tensor, profiler: Profiler | None = None) -> dict[str, Any]:
    """Return Profiler.profile_forward_pass of a model, with a new profiler unless one is given."""
    return (profiler or Profiler()).profile_forward_pass(model, input_tensor)


def analyze_weight_distribution(model: Any, percentiles: Sequence[float] = (10, 25, 50, 75, 90)) -> dict[str, Any]:
    """Return count, mean, std, min, max, share of zeros, and `percentiles` of the magnitude, over all weights.

    Weights are parameters with more than one axis. Raises ValueError for a model without any.
    """
    weights = [p.data.ravel() for p in parameters_of(model) if p.ndim > 1]
    if not weights:
        raise ValueError(f"{type(model).__name__} has no weight: none of its parameters has more than one axis.")
    values = np.concatenate(weights).astype(np.float64)
    return {
        "total_weights": values.size,
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "zero_fraction": float((values == 0).mean()),
        "percentiles": {p: float(np.percentile(np.abs(values), p)) for p in percentiles},
    }


def _batch(x: Tensor) -> int:
    return x.shape[0] if x.ndim > 1 else 1


def _macs(step: Pass) -> int:
    sample = step.input_shape[1:] if len(step.input_shape) > 1 else step.input_shape
    return step.layer.macs(sample)


def _backward(model: Any, x: Tensor, loss_fn: Callable[[Tensor], Tensor], runs: int = 11) -> tuple[float, float]:
    """Return the median milliseconds of backward() and the megabytes of the parameters' gradients."""
    durations = []
    for _ in range(runs):
        for p in parameters_of(model):
            p.grad = None
        loss = loss_fn(run(model, x))
        start = time.perf_counter_ns()
        loss.backward()
        durations.append((time.perf_counter_ns() - start) / 1e6)
    gradients = sum(p.grad.nbytes for p in parameters_of(model) if p.grad is not None)
    return float(np.median(durations[1:])), gradients / MB_TO_BYTES
