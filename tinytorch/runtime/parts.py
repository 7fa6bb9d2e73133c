"""The parts of a plan as something that runs: a native program, or layers called one after the other."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import ReLU
from tinytorch.core.function import no_grad
from tinytorch.core.layer import Layer, walk
from tinytorch.core.tensor import Tensor
from tinytorch.kernels import native
from tinytorch.models.network import Network
from tinytorch.runtime.fusion import Step
from tinytorch.runtime.plan import EagerPart, NativePart, Part

__all__ = ["Eager", "Native", "Running", "for_inference", "running", "samples_at_once", "step_bytes"]

Array: TypeAlias = NDArray[Any]
Times: TypeAlias = dict[str, float]

_CACHE_BYTES = 1 << 20  # a core's second-level cache


class Native:
    """A native part with its program. `size_bytes` are the packed weights and the buffers of the samples at once."""

    def __init__(self, part: NativePart, batch: int, threads: int) -> None:
        self.part = part
        self.program = native.Program(part.ops, part.slots, samples_at_once(part, batch, threads), threads)
        self.size_bytes = self.program.nbytes
        self._owners = _owners(part.steps)

    def run(self, x: Array) -> Array:
        """Return the values (N, n) for samples x (N, ...)."""
        out: Array = np.empty((len(x), self.part.output_values), np.float32)
        self.program.run(x, out)
        return out

    def timed(self, x: Array) -> tuple[Array, Times]:
        """Return what `run` does, and how long each step took, in ns by its name."""
        out: Array = np.empty((len(x), self.part.output_values), np.float32)
        times = dict.fromkeys(self._owners, 0.0)
        for name, ns in zip(self._owners, self.program.time_ops(x, out, 1), strict=True):
            times[name] += ns
        return out, times


def samples_at_once(part: NativePart, batch: int, threads: int) -> int:
    """Return how many samples go through a native part together: of large images a few, so that they stay in a cache.

    Of 64 images of 32x32 with up to 32 channels, 4 at once took 18 % less time than all. Where the weights are larger
    than the samples, these are not divided: each division reads the weights once more.
    """
    weights = sum(array.nbytes for op in part.ops for array in op.arrays if array is not None)
    return max(1, min(batch, max(threads * _CACHE_BYTES, 4 * weights) // sum(part.slots)))


class Eager:
    """Layers that run one after the other. `size_bytes` are the weights that they read."""

    def __init__(self, part: EagerPart) -> None:
        self.part = part
        self.size_bytes = sum(step_bytes(step) for step in part.steps)
        self._calls = [(step.name, *call) for step in part.steps for call in _calls(step)]

    def run(self, x: Array) -> Array:
        """Return the values for samples x (N, ...), both contiguous and lying as the plan says."""
        value = self._given(x)
        with no_grad():
            for _, shape, forward in self._calls:
                value = forward(_shaped(value, shape))
        return self._taken(value)

    def timed(self, x: Array) -> tuple[Array, Times]:
        """Return what `run` does, and how long each step took, in ns by its name."""
        value, times = self._given(x), dict.fromkeys((step.name for step in self.part.steps), 0.0)
        with no_grad():
            for name, shape, forward in self._calls:
                began = time.perf_counter_ns()
                value = forward(_shaped(value, shape))
                times[name] += time.perf_counter_ns() - began
        return self._taken(value), times

    def _given(self, x: Array) -> Tensor:
        image = self.part.before
        if image is not None:
            x = x.reshape(len(x), image[1], image[2], image[0]).transpose(0, 3, 1, 2)
        return Tensor._wrap(x)

    def _taken(self, value: Tensor) -> Array:
        out = value._data
        return np.ascontiguousarray(out if self.part.after is None else out.transpose(0, 2, 3, 1))


Running: TypeAlias = Native | Eager


def running(part: Part, batch: int, threads: int) -> Running:
    """Return the part ready to run batches of `batch` samples."""
    return Eager(part) if isinstance(part, EagerPart) else Native(part, batch, threads)


def for_inference(model: Network) -> Network:
    """Return the network with layers in inference mode, which share their arrays with the network's."""
    return model.replaced({name: _in_eval_mode(layer) for name, layer in model.named_layers()})


def step_bytes(step: Step) -> int:
    """Return the bytes of arrays that the layers of a step read."""
    layers = [layer for layer in (step.layer, step.norm) if layer is not None]
    return sum(inner.working_set_bytes() for layer in layers for inner in walk(layer))


def _in_eval_mode(layer: Layer) -> Layer:
    return (copy.deepcopy(layer) if layer.children() else copy.copy(layer)).eval()


def _owners(steps: Sequence[Step | None]) -> list[str]:
    """Return the name of the step that each operation counts for; a move of an image is for the step after it."""
    names: list[str] = []
    name = next(step.name for step in reversed(steps) if step is not None)
    for step in reversed(steps):
        name = name if step is None else step.name
        names.append(name)
    return names[::-1]


def _calls(step: Step) -> list[tuple[tuple[int, ...], Callable[[Tensor], Tensor]]]:
    """Return what computes a step: for each layer the shape of a sample that it takes, and its forward."""
    assert step.layer is not None  # a sum is inside a residual block, which is one step where it runs eagerly
    after: list[Layer | None] = [step.norm, ReLU() if step.has_relu else None]
    return [(step.before, step.layer.forward), *((step.after, layer.forward) for layer in after if layer is not None)]


def _shaped(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    data = value._data
    return value if data.shape[1:] == shape else Tensor._wrap(data.reshape(len(data), *shape))
