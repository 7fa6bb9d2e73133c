"""Time every layer of a network on the activations it gets there, and say what bounds it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure import machine
from pipeline.measure.balance import Balance, measure_balance
from pipeline.measure.clock import Clock, wall_ns
from tinytorch.core.layer import Layer
from tinytorch.core.tensor import Tensor
from tinytorch.models.network import Network

__all__ = ["bound", "profile_layers"]

_SAMPLES = 25  # of each layer; their median counts
_QUERIES = 8  # activations of so many queries are kept and rotated
_SPENT_NS = 100_000_000  # on a layer at most, once it has three samples

# Time this many times what either limit allows is explained by neither: interpreter, allocation, or a kernel that
# uses little of the machine.
_FAR = 4.0


class _Recorder(Layer):
    """Stand in for a layer, compute the same, and remember its inputs."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.layer.forward(x)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)


def profile_layers(model: Network, queries: Sequence[NDArray[np.float32]], clock: Clock) -> dict[str, Any]:
    """Return balance, layers and total as the profile record has them; times are medians in ns for a whole query."""
    balance = measure_balance(max((machine.facts()["caches"] or {"": 0}).values()))
    recorders = {name: _Recorder(layer) for name, layer in model.named_layers()}
    recording = model.replaced(recorders)
    recording.eval()
    batch = len(queries[0])
    for query in queries[:_QUERIES]:
        recording.forward(Tensor(query))
    gc.collect()
    gc.disable()
    layers = [
        _layer(name, layer, (before, after), recorders[name].seen, balance, clock)
        for name, layer, before, after in model.named_shapes()
    ]
    whole_ns = _median_ns(model, [Tensor(query) for query in queries[:_QUERIES]], clock)
    gc.enable()
    measured = sum(layer["time_ns"] for layer in layers)
    for layer in layers:
        layer["share"] = layer["time_ns"] / measured
    summed = {
        key: sum(layer[key] for layer in layers) for key in ("parameters", "macs", "weight_bytes", "activation_bytes")
    }
    total = {**summed, "time_ns": whole_ns, "layers_ns": measured, "gflops": 2 * summed["macs"] * batch / whole_ns}
    return {"batch_size": batch, "balance": balance.to_json(), "layers": layers, "total": total}


def bound(time_ns: float, flops: float, traffic_bytes: float, balance: Balance) -> str:
    """Say what bounds a layer: the slower of "compute" and "memory", or "overhead" if neither explains its time.

    `traffic_bytes` is what must be read or written at least: weights and activations once.
    """
    compute_ns = flops / balance.peak_gflops
    memory_ns = traffic_bytes / balance.gbps(int(traffic_bytes))
    if time_ns > _FAR * max(compute_ns, memory_ns):
        return "overhead"
    return "compute" if compute_ns >= memory_ns else "memory"


def _layer(
    name: str,
    layer: Layer,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    inputs: Sequence[Tensor],
    balance: Balance,
    clock: Clock,
) -> dict[str, Any]:
    before, after = shapes
    batch = inputs[0].shape[0]
    macs = layer.macs(before)
    weight_bytes = sum(array.nbytes for array in layer.state().values())
    activation_bytes = 4 * batch * int(np.prod(before) + np.prod(after))
    traffic = weight_bytes + activation_bytes
    flops = 2 * macs * batch
    time_ns = _median_ns(layer, inputs, clock)
    return {
        "name": name,
        "kind": type(layer).__name__,
        "parameters": sum(parameter.size for parameter in layer.parameters()),
        "macs": macs,
        "weight_bytes": weight_bytes,
        "activation_bytes": activation_bytes,
        "time_ns": time_ns,
        "arithmetic_intensity": flops / traffic,
        "gflops": flops / time_ns,
        "bound": bound(time_ns, flops, traffic, balance),
    }


def _median_ns(layer: Layer, inputs: Sequence[Tensor], clock: Clock) -> float:
    """Return the median time of one call, from samples long enough for the clock."""
    loops = 1
    while (least := min(_sample_ns(layer, inputs, loops) for _ in range(3))) < clock.sample_ns:
        loops = max(loops + 1, int(loops * min(10.0, 1.1 * clock.sample_ns / max(least, 1))))
    samples: list[int] = []
    began = wall_ns()
    while len(samples) < 3 or (len(samples) < _SAMPLES and wall_ns() - began < _SPENT_NS):
        samples.append(_sample_ns(layer, inputs, loops))
    return float(np.median(samples)) / loops


def _sample_ns(layer: Layer, inputs: Sequence[Tensor], loops: int) -> int:
    chunk = [inputs[i % len(inputs)] for i in range(loops)]
    start = wall_ns()
    for x in chunk:
        layer.forward(x)
    return wall_ns() - start
