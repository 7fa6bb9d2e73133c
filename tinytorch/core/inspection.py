"""Look into a model at work without changing it: activations and gradients of a batch, once or during a training.

Facts only; what they mean is said by `tinytorch.perf.findings`. Training depends on this file, so it reaches nothing
but the core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytorch.core.activations import ReLU, Sigmoid, Tanh
from tinytorch.core.checkpoint import random_states, restore_random_states
from tinytorch.core.facts import Activation, Gradient, Inspection
from tinytorch.core.function import Array
from tinytorch.core.layer import Layer, named_leaves, walk
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.tensor import Tensor

__all__ = [
    "TrainingProbe",
    "activation_statistics",
    "gradient_norms",
    "inspect_batch",
    "probed_epochs",
    "spread",
    "unchanged",
]

Leaves = Sequence[tuple[str, Layer]]

SATURATION = 0.99  # beyond it the slope of a tanh is below 0.02
PROBES = 6  # of a training, beside the one before it: most happens in the first epochs, so they are spaced by factors
PROBE_ITEMS = 64  # among as many, a unit that is on for one class in ten is missed once in a thousand times
DIGITS = 6


def activation_statistics(model: Any, x: Any) -> list[Activation]:
    """Return what each layer that holds no others gives for the batch `x`, in order of execution.

    The model runs in the mode it is in, and learns nothing from it.
    """
    with unchanged(model), _observed(named_leaves(model)) as seen:
        _forward(model)(x)
    return seen


def gradient_norms(model: Any, leaves: Leaves | None = None) -> list[Gradient]:
    """Return the norms for each parameter, by the name of its layer; call it after `backward()`.

    `leaves` are the layers by the names they are to have, else those that `named_leaves` gives.
    """
    parameters = list(model.parameters())
    names = {id(p): f"parameter {i}" for i, p in enumerate(parameters)}
    for layer_name, layer in named_leaves(model) if leaves is None else leaves:
        arrays = {id(array): name for name, array in layer.state().items()}
        names |= {id(p): f"{layer_name}.{arrays[id(p.data)]}" for p in layer.parameters() if id(p.data) in arrays}
    return [
        Gradient(names[id(p)], None if p.grad is None else _norm(p.grad), _norm(p.data), p.size) for p in parameters
    ]


def inspect_batch(
    model: Any, x: Any, targets: Any, loss_fn: Callable[[Any, Any], Tensor], leaves: Leaves | None = None
) -> Inspection:
    """Run a batch forward and backward in the mode that the model is in, and return what was seen.

    `leaves` are the layers to look at by the names they are to have, else those that `named_leaves` gives. Weights,
    gradients, batch-norm statistics and random generators are put back.
    """
    parameters = list(model.parameters())
    before = [p.grad for p in parameters]
    try:
        for p in parameters:
            p.grad = None
        with unchanged(model), np.errstate(all="ignore"):
            with _observed(named_leaves(model) if leaves is None else leaves) as seen:
                loss = loss_fn(_forward(model)(x), targets)
            loss.backward()
        gradients = gradient_norms(model, leaves)
    finally:
        for p, grad in zip(parameters, before, strict=True):
            p.grad = grad
    return Inspection(float(loss.data), tuple(seen), tuple(gradients))


class TrainingProbe:
    """One batch that is never changed, looked at before a training and after some of its epochs.

    Called with an epoch's number it returns what the batch shows then, as JSON in columns: one place for each layer
    (mean, std, zeros, dead, saturated) and for each parameter (gradient, weight), in the order of `layout()`; None
    after an epoch at which it does not look. It looks in training mode and leaves no trace: the weights that are
    trained do not depend on it.
    """

    def __init__(
        self,
        model: Layer,
        leaves: Leaves,
        batch: tuple[Any, Any],
        loss_fn: Callable[[Any, Any], Tensor],
        epochs: int,
    ) -> None:
        self._model, self._leaves, self._batch, self._loss_fn = model, leaves, batch, loss_fn
        self._chosen = frozenset(probed_epochs(epochs))
        self._seen: Inspection | None = None

    def __call__(self, epoch: int) -> dict[str, Any] | None:
        """Return what the batch shows after `epoch`, 0 for before the first; None where it is not looked at."""
        if epoch not in self._chosen:
            return None
        layers = list(walk(self._model))
        modes = [layer.training for layer in layers]
        try:
            for layer in layers:
                layer.training = True
            self._seen = inspect_batch(self._model, *self._batch, self._loss_fn, self._leaves)
        finally:
            for layer, mode in zip(layers, modes, strict=True):
                layer.training = mode
        return {"epoch": epoch, **_columns(self._seen)}

    def layout(self) -> dict[str, Any]:
        """Return the names, kinds and sizes that the columns belong to; raises RuntimeError before the first look."""
        if self._seen is None:
            raise RuntimeError("a TrainingProbe has no layout before it was called with 0.")
        return {
            "layers": [{"name": a.layer, "kind": a.kind, "units": a.units} for a in self._seen.activations],
            "parameters": [{"name": g.parameter, "size": g.size} for g in self._seen.gradients],
        }


def probed_epochs(epochs: int) -> list[int]:
    """Return after which of so many epochs a training is looked at: before the first, then ever more rarely."""
    if epochs < 1:
        return [0]
    return sorted({0, *(round(epochs ** (i / (PROBES - 1))) for i in range(PROBES))})


def spread(total: int, most: int = PROBE_ITEMS) -> list[int]:
    """Return at most `most` positions among `total`, evenly spaced: of data in any order, some of all of it."""
    count = min(total, most)
    return [i * total // count for i in range(count)]


def _columns(seen: Inspection) -> dict[str, Any]:
    return {
        "loss": _rounded(seen.loss),
        "mean": [_rounded(a.mean) for a in seen.activations],
        "std": [_rounded(a.std) for a in seen.activations],
        "zeros": [_rounded(a.zeros) for a in seen.activations],
        "dead": [a.dead_units for a in seen.activations],
        "saturated": [_rounded(a.saturated) for a in seen.activations],
        "gradient": [_rounded(g.norm) for g in seen.gradients],
        "weight": [_rounded(g.weight_norm) for g in seen.gradients],
    }


def _rounded(value: float | None) -> float | None:
    """Return the number with six digits; what is not finite is no number that JSON has."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def _forward(model: Any) -> Callable[..., Any]:
    forward: Callable[..., Any] = getattr(model, "forward", model)
    return forward


def _norm(array: Array) -> float:
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def _activation(name: str, layer: Layer, out: Tensor) -> Activation:
    values = out.data
    by_unit = np.moveaxis(values, 1, -1) if values.ndim == 4 else values
    units = by_unit.shape[-1] if by_unit.ndim else 1
    is_dead = (by_unit.reshape(-1, units) == 0).all(axis=0)
    return Activation(
        layer=name,
        kind=type(layer).__name__,
        shape=values.shape,
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        largest=float(np.abs(values).max()),
        zeros=float((values == 0).mean()),
        units=units,
        dead_units=int(is_dead.sum()) if isinstance(layer, ReLU) else None,
        saturated=_saturated(layer, values),
    )


def _saturated(layer: Layer, values: Array) -> float | None:
    if isinstance(layer, Sigmoid):
        values = 2 * values - 1
    elif not isinstance(layer, Tanh):
        return None
    return float((np.abs(values) > SATURATION).mean())


@contextmanager
def _observed(watched: Leaves) -> Iterator[list[Activation]]:
    """Record what each leaf gives while the block runs; a layer that runs twice is listed twice."""
    seen: list[Activation] = []

    def watching(name: str, layer: Layer) -> Callable[..., Any]:
        forward = layer.forward

        def observed(*args: Any, **kwargs: Any) -> Any:
            out = forward(*args, **kwargs)
            if isinstance(out, Tensor) and out.size:
                seen.append(_activation(name, layer, out))
            return out

        return observed

    try:
        for name, layer in watched:
            layer.forward = watching(name, layer)  # type: ignore[method-assign]
        yield seen
    finally:
        for _, layer in watched:
            vars(layer).pop("forward", None)


@contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Put batch-norm statistics and random generators back after the block."""
    norms = [layer for layer in walk(model) if isinstance(layer, BatchNorm2d)]
    kept = [(layer.running_mean.copy(), layer.running_var.copy()) for layer in norms]
    states = random_states(model)
    try:
        yield
    finally:
        restore_random_states(states, model)
        for layer, (mean, var) in zip(norms, kept, strict=True):
            layer.running_mean, layer.running_var = mean, var
