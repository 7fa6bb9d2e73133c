"""Time every layer of a network where it stands, as its inference session runs it, and say what bounds it."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure import machine
from pipeline.measure.balance import Balance, measure_balance
from pipeline.measure.clock import wall_ns
from tinytorch.core.layer import Layer
from tinytorch.models.network import Network
from tinytorch.runtime.session import InferenceSession, PlannedLayer

__all__ = ["Held", "bound", "layer_times", "profile_layers"]

_GLANCE_NS = 100_000_000  # on the layers of two sessions, where they are only shown
_WARMUP_NS = 50_000_000
_SPENT_NS = 500_000_000  # on all rounds, once there are three
_ROUNDS = 2_000  # at most

# Time this many times what either limit allows is explained by neither: interpreter, allocation, or a kernel that
# uses little of the machine.
_FAR = 4.0


@dataclass(frozen=True)
class Held:
    """What a layer works on, for one query: multiply-accumulates, and bytes of its file, of what it reads, of its data.

    `read_bytes` are the weights as they are executed: those of a quantized layer can be larger than what is stored.
    """

    parameters: int
    macs: int
    stored_bytes: int
    read_bytes: int
    activation_bytes: int

    @classmethod
    def by(cls, planned: PlannedLayer, layers: Sequence[tuple[Layer, tuple[int, ...]]], batch: int) -> Held:
        """Count for `layers` with the shapes of their inputs; every value before and after them is moved once."""
        return cls(
            parameters=sum(layer.parameter_count() for layer, _ in layers),
            macs=sum(layer.macs(before) for layer, before in layers),
            stored_bytes=sum(array.nbytes for layer, _ in layers for array in layer.state().values()),
            read_bytes=planned.size_bytes,
            activation_bytes=4 * batch * int(np.prod(planned.input_shape) + np.prod(planned.output_shape)),
        )

    @property
    def traffic_bytes(self) -> int:
        """What must be read or written at least: weights and activations once."""
        return self.read_bytes + self.activation_bytes


def profile_layers(model: Network, session: InferenceSession, queries: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Return balance, layers and total as the profile record has them; times in ns for a whole query.

    Layers are those of the session's plan, each named after the one that does the work. They are timed inside the
    running network: each finds the caches as the layers before it leave them, and all share the moments in which the
    core is slow. Rounds alternate with untouched ones, of which `total.time_ns` is.
    """
    balance = measure_balance(max((machine.facts()["caches"] or {"": 0}).values()))
    whole_ns, by_layer = _run_rounds(session, queries)
    batch = len(queries[0])
    times = _middle(by_layer)
    inside = {name: (layer, before) for name, layer, before, _ in model.named_shapes()}
    whole = list(inside.values())  # of a network that runs as one layer, such as a language model
    held = [
        Held.by(
            planned, [inside[name] for name in planned.names] if inside.keys() >= set(planned.names) else whole, batch
        )
        for planned in session.layers
    ]
    passing = sum(h.traffic_bytes for h in held)
    layers = []
    for planned, h, found_ns in zip(session.layers, held, times.tolist(), strict=True):
        time_ns = max(found_ns, 1.0)
        flops = 2 * h.macs * batch
        layers.append(
            {
                "name": planned.name,
                "names": list(planned.names),
                "kind": planned.kind,
                "computed_by": planned.kernel,
                "parameters": h.parameters,
                "macs": h.macs,
                "weight_bytes": h.stored_bytes,
                "activation_bytes": h.activation_bytes,
                "time_ns": time_ns,
                "arithmetic_intensity": flops / max(h.traffic_bytes, 1),
                "gflops": flops / time_ns,
                "bound": bound(time_ns, flops, h.traffic_bytes, passing, balance),
            }
        )
    return {"batch_size": batch, "balance": balance.to_json(), **_totalled(layers, float(_middle([whole_ns])[0]))}


def layer_times(
    sessions: Mapping[str, InferenceSession], calls: Sequence[NDArray[np.float32]]
) -> dict[str, dict[str, float]]:
    """Return how long each layer of each session takes within a call, in ns; the sessions take turns.

    It takes a tenth of a second: enough to see where the time goes, and no claim about the speed of either.
    """
    rotation = itertools.cycle(calls)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sessions}
    for number in _rounds(_GLANCE_NS, 4):
        for name, session in sessions.items():
            times = session.time_layers(next(rotation))
            if number:  # the first prepares what is lazy
                found[name].append(times)
    return {name: _middle_of(rounds) for name, rounds in found.items()}


def _middle_of(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = list(rounds[0])
    middle = _middle([[times[name] for times in rounds] for name in names])
    return dict(zip(names, middle.tolist(), strict=True))


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


def _run_rounds(
    session: InferenceSession, queries: Sequence[NDArray[np.float32]]
) -> tuple[list[int], list[list[float]]]:
    """Run whole and layer by layer in turn on rotating queries; return the times of either in ns, by round."""
    gc.collect()
    gc.disable()
    try:
        rotation = itertools.cycle(queries)
        for _ in _rounds(_WARMUP_NS, 1):
            session.run(next(rotation))
            session.time_layers(next(rotation))
        took_ns: list[int] = []
        by_layer: dict[str, list[float]] = {layer.name: [] for layer in session.layers}
        for _ in _rounds(_SPENT_NS, 3):
            query = next(rotation)
            began = wall_ns()
            session.run(query)
            took_ns.append(wall_ns() - began)
            for name, ns in session.time_layers(query).items():
                by_layer[name].append(ns)
    finally:
        gc.enable()
    return took_ns, list(by_layer.values())


def _rounds(spent_ns: int, least: int) -> Iterator[int]:
    began = wall_ns()
    for number in range(_ROUNDS):
        if number >= least and wall_ns() - began > spent_ns:
            return
        yield number


def _middle(times: Sequence[Sequence[float]]) -> NDArray[np.float64]:
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
