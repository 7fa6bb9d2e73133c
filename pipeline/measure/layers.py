"""Time every layer of a network where it stands, and say what bounds it."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure import machine
from pipeline.measure.balance import Balance, measure_balance
from pipeline.measure.clock import Clock, wall_ns
from pipeline.measure.model import caller
from tinytorch.core.layer import Layer
from tinytorch.core.tensor import Tensor
from tinytorch.models.network import Network

__all__ = ["Held", "bound", "profile_layers"]

_WARMUP_NS = 50_000_000
_SPENT_NS = 500_000_000  # on all rounds, once there are three
_ROUNDS = 2_000  # at most

# Time this many times what either limit allows is explained by neither: interpreter, allocation, or a kernel that
# uses little of the machine.
_FAR = 4.0


class _Watched(Layer):
    """Stand in for a layer, compute the same, and note how long each call took."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.took_ns: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        began = wall_ns()
        out = self.layer.forward(x)
        self.took_ns.append(wall_ns() - began)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)


@dataclass(frozen=True)
class Held:
    """What a layer works on, for one query: multiply-accumulates, and bytes of its file, of what it reads, of its data.

    `read_bytes` are the weights as they are executed: those of a quantized layer are stored smaller than that.
    """

    macs: int
    stored_bytes: int
    read_bytes: int
    activation_bytes: int

    @classmethod
    def by(cls, layer: Layer, before: tuple[int, ...], after: tuple[int, ...], batch: int) -> Held:
        """Count for a layer between samples of these shapes; every value of a sample is read or written once."""
        return cls(
            macs=layer.macs(before),
            stored_bytes=sum(array.nbytes for array in layer.state().values()),
            read_bytes=layer.working_set_bytes(),
            activation_bytes=4 * batch * int(np.prod(before) + np.prod(after)),
        )

    @property
    def traffic_bytes(self) -> int:
        """What must be read or written at least: weights and activations once."""
        return self.read_bytes + self.activation_bytes


def profile_layers(model: Network, queries: Sequence[NDArray[np.float32]], clock: Clock) -> dict[str, Any]:
    """Return balance, layers and total as the profile record has them; times in ns for a whole query.

    Layers are timed inside the running network: each finds the caches as the layers before it leave them, and all
    share the moments in which the core is slow. Rounds alternate with untouched ones, of which `total.time_ns` is.
    """
    balance = measure_balance(max((machine.facts()["caches"] or {"": 0}).values()))
    shapes = model.named_shapes()
    watches = {name: _Watched(layer) for name, layer, _, _ in shapes}
    whole_ns = _run_rounds(model, model.replaced(watches), queries)
    batch = len(queries[0])
    times = _middle([watch.took_ns[-len(whole_ns) :] for watch in watches.values()])
    held = [Held.by(layer, before, after, batch) for _, layer, before, after in shapes]
    passing = sum(h.traffic_bytes for h in held)
    layers = []
    for (name, layer, _, _), h, watched_ns in zip(shapes, held, times.tolist(), strict=True):
        time_ns = max(watched_ns - clock.overhead_ns, 1.0)
        flops = 2 * h.macs * batch
        layers.append(
            {
                "name": name,
                "kind": type(layer).__name__,
                "parameters": layer.parameter_count(),
                "macs": h.macs,
                "weight_bytes": h.stored_bytes,
                "activation_bytes": h.activation_bytes,
                "time_ns": time_ns,
                "arithmetic_intensity": flops / h.traffic_bytes,
                "gflops": flops / time_ns,
                "bound": bound(time_ns, flops, h.traffic_bytes, passing, balance),
            }
        )
    return {"batch_size": batch, "balance": balance.to_json(), **_totalled(layers, float(_middle([whole_ns])[0]))}


def bound(time_ns: float, flops: float, traffic_bytes: float, passing_bytes: float, balance: Balance) -> str:
    """Say what bounds a layer: the slower of "compute" and "memory", or "overhead" if neither explains its time.

    `passing_bytes` is what the whole network reads and writes from one call of the layer to the next: the cache that
    holds all of it, or memory, is where the layer's `traffic_bytes` come from.
    """
    compute_ns = flops / balance.peak_gflops
    memory_ns = traffic_bytes / balance.gbps(int(passing_bytes))
    if time_ns > _FAR * max(compute_ns, memory_ns):
        return "overhead"
    return "compute" if compute_ns >= memory_ns else "memory"


def _run_rounds(model: Network, watched: Network, queries: Sequence[NDArray[np.float32]]) -> list[int]:
    """Call the network and its watched twin in turn on rotating queries; return the times of the former in ns."""
    watched.eval()
    call, call_watched = caller(model), caller(watched)
    gc.collect()
    gc.disable()
    try:
        rotation = itertools.cycle(queries)
        for _ in _rounds(_WARMUP_NS, 1):
            call(next(rotation))
            call_watched(next(rotation))
        took_ns = []
        for _ in _rounds(_SPENT_NS, 3):
            query = next(rotation)
            began = wall_ns()
            call(query)
            took_ns.append(wall_ns() - began)
            call_watched(query)
    finally:
        gc.enable()
    return took_ns


def _rounds(spent_ns: int, least: int) -> Iterator[int]:
    began = wall_ns()
    for number in range(_ROUNDS):
        if number >= least and wall_ns() - began > spent_ns:
            return
        yield number


def _middle(times: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return the mean of each row of `times` (layers, rounds) over the same rounds: the middle half by their sum.

    Unlike medians such means add up, and what disturbs a round counts for no layer.
    """
    table = np.array(times, dtype=np.float64)
    n = table.shape[1]
    kept = np.argsort(table.sum(axis=0), kind="stable")[n // 4 : n - n // 4]
    means: NDArray[np.float64] = table[:, kept].mean(axis=1)
    return means


def _totalled(layers: list[dict[str, Any]], whole_ns: float) -> dict[str, Any]:
    """Return the layers, each with its share of their time, and what they sum up to."""
    keys = ("parameters", "macs", "weight_bytes", "activation_bytes")
    summed: dict[str, Any] = {key: sum(layer[key] for layer in layers) for key in keys}
    layers_ns = sum(layer["time_ns"] for layer in layers)
    gflops = sum(layer["gflops"] * layer["time_ns"] for layer in layers) / whole_ns
    total = {**summed, "time_ns": whole_ns, "layers_ns": layers_ns, "gflops": gflops}
    return {"layers": [{**layer, "share": layer["time_ns"] / layers_ns} for layer in layers], "total": total}
