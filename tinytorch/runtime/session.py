"""Inference sessions: a network planned once, then run in one native call for each batch.

Products, batch norms, activations and sums are fused, images keep their channels last, buffers are allocated once. What
no kernel computes runs as the network's own layers between native calls; where no kernels are built, all of it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels import native
from tinytorch.models.network import Network
from tinytorch.runtime.choosing import fastest, time_candidates
from tinytorch.runtime.parts import Native, for_inference, running, step_bytes
from tinytorch.runtime.plan import NativePart, Plan, make_plan

__all__ = ["Choices", "InferenceSession", "PlannedLayer"]

Array: TypeAlias = NDArray[Any]
Choices: TypeAlias = Mapping[str, str] | Literal["measure"] | None

_FLOAT32 = np.dtype(np.float32)
_empty = np.empty  # a global is found sooner than an attribute


@dataclass(frozen=True)
class PlannedLayer:
    """A layer of the plan with what is fused into it, and the kernel that computes it.

    `kind` is the layer's type, `names` are the network's layers that it stands for. `candidates` are the kernels that
    can compute it, each with its time in ns for a batch where that was measured, else None. `size_bytes` are its
    weights as the kernel is given them; the shapes are those of one sample.
    """

    name: str
    names: tuple[str, ...]
    kind: str
    kernel: str
    candidates: Mapping[str, float | None]
    size_bytes: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


class InferenceSession:
    """Run a network in inference: `run(x)` returns its outputs for samples x (N, *input_shape).

    The network's arrays must not change afterwards. At most `batch` samples go through at once; calls with exactly so
    many are the fastest. `choices` names the kernels of layers by their names (see `layers`); "measure" times all
    candidates for a batch and takes the fastest, None takes the usual ones, which are always the same.

    Raises ValueError for a layer or a kernel that does not exist.
    """

    def __init__(self, model: Network, batch: int = 1, threads: int = 1, choices: Choices = None) -> None:
        if batch < 1 or threads < 1:
            raise ValueError(f"batch and threads must be at least 1, not {batch} and {threads}")
        self._isa = native.isa()
        available = native.kernel_names if self._isa else ()
        own = for_inference(model)
        timed: dict[str, dict[str, float]] = {}
        if choices == "measure":
            timed = time_candidates(own, available, batch, threads) if available else {}
            choices = {name: fastest(times) for name, times in timed.items()}
        if isinstance(choices, str):
            raise ValueError(f"choices must be kernels by the names of layers, 'measure' or None, not {choices!r}")
        plan = make_plan(own, available, choices)
        self._parts = [running(part, batch, threads) for part in plan.parts]
        self.batch, self.threads = batch, threads
        self.layers = _planned(plan, timed)
        self._input_shape, self._output_shape = model.input_shape, model.output_shape(model.input_shape)
        last = plan.parts[-1] if plan.parts else None
        self._image = last.layout if isinstance(last, NativePart) else None
        # One native call and exactly `batch` samples: the short way of `run`.
        self._shape: tuple[int, ...] | None = None
        if len(self._parts) == 1 and isinstance(self._parts[0], Native) and self._image is None:
            self._shape, self._out_shape = (batch, *self._input_shape), (batch, *self._output_shape)
            self._call = self._parts[0].program.run

    def run(self, x: Array) -> Array:
        """Return the outputs (N, *output_shape) for float32 samples x (N, *input_shape), in a new array.

        Images are views of memory with channels last, as those of layers are.
        Raises ValueError for another shape or type.
        """
        if x.shape == self._shape:
            out: Array = _empty(self._out_shape, _FLOAT32)
            try:
                self._call(x, out)
            except (BufferError, TypeError, ValueError):  # no contiguous float32: the long way mends it, or says so
                return self._run_parts(x)
            return out
        return self._run_parts(x)

    def _run_parts(self, x: Array) -> Array:
        value = self._checked(x)
        if not len(x):
            return np.empty((0, *self._output_shape), np.float32)
        for part in self._parts:
            value = part.run(value)
        if self._image is not None:
            channels, height, width = self._image
            value = value.reshape(len(x), height, width, channels).transpose(0, 3, 1, 2)
        return value.reshape(len(x), *self._output_shape)

    def time_layers(self, x: Array) -> dict[str, float]:
        """Run once for samples x; return how long each layer of the plan took, in ns by its name."""
        value, times = self._checked(x), dict[str, float]()
        for part in self._parts:
            value, of_part = part.timed(value)
            times |= of_part
        return times

    def _checked(self, x: Array) -> Array:
        if x.shape[1:] != self._input_shape or x.dtype != _FLOAT32:
            wanted = ", ".join(map(str, self._input_shape))
            raise ValueError(f"run needs float32 samples of shape (N, {wanted}), not {x.dtype} {x.shape}")
        return np.require(x, requirements=("C", "A"))

    @property
    def kernels(self) -> str:
        """The instruction set of the native kernels, or "reference" where the network's own layers run."""
        return self._isa or "reference"

    @property
    def choices(self) -> dict[str, str]:
        """The kernel of each layer by its name: what another session of the same network takes as its choices."""
        return {layer.name: layer.kernel for layer in self.layers}

    @property
    def working_set_bytes(self) -> int:
        """Bytes that a call with a whole batch reads and writes: weights as they are executed, and buffers."""
        return sum(part.size_bytes for part in self._parts)


def _planned(plan: Plan, timed: Mapping[str, Mapping[str, float]]) -> tuple[PlannedLayer, ...]:
    given = _given_bytes(plan)
    return tuple(
        PlannedLayer(
            name=step.name,
            names=step.names,
            kind="Add" if step.layer is None else type(step.layer).__name__,
            kernel=plan.chosen[step.name],
            candidates=timed.get(step.name) or dict.fromkeys(plan.candidates[step.name]),
            size_bytes=given.get(step.name, step_bytes(step)),
            input_shape=step.before,
            output_shape=step.after,
        )
        for step in plan.steps
    )


def _given_bytes(plan: Plan) -> dict[str, int]:
    """Return the bytes of the arrays that each native step's operation is given."""
    ops = [
        pair for part in plan.parts if isinstance(part, NativePart) for pair in zip(part.steps, part.ops, strict=True)
    ]
    return {step.name: sum(a.nbytes for a in op.arrays if a is not None) for step, op in ops if step is not None}
