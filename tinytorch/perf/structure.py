"""Find the layers inside a course model, whatever class it is, and say what they hold and what passes through them.

A course model is an object with forward(x) and, mostly, parameters(); its layers are in attributes, lists or dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.core.layer import Layer, evaluating, walk
from tinytorch.core.tensor import Tensor

__all__ = [
    "Pass",
    "Slot",
    "held_bytes",
    "inference",
    "leaves",
    "observe",
    "parameter_count",
    "parameters_of",
    "run",
    "slots",
    "trace",
]


@dataclass(frozen=True)
class Slot:
    """A place in a model that holds a leaf layer: an attribute of `owner`, or an entry of a list, tuple or dict."""

    owner: Any
    key: Any

    def get(self) -> Layer:
        """Return the layer that is there."""
        layer: Layer = self.owner[self.key] if self._is_entry() else getattr(self.owner, self.key)
        return layer

    def put(self, layer: Layer) -> None:
        """Put another layer there; raises TypeError for a tuple."""
        if self._is_entry():
            self.owner[self.key] = layer
        else:
            setattr(self.owner, self.key, layer)

    def _is_entry(self) -> bool:
        return isinstance(self.owner, list | tuple | dict)


@dataclass(frozen=True)
class Pass:
    """What one leaf layer saw in a forward pass: the shapes before and after it, batch included."""

    layer: Layer
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def slots(model: Any) -> list[Slot]:
    """List where `model` holds its leaf layers, in order of definition; a layer held twice is listed once."""
    return [] if isinstance(model, Layer) and model.state() else list(_slots(model, set()))


def _slots(owner: Any, seen: set[int]) -> Iterator[Slot]:
    if id(owner) in seen:
        return
    seen.add(id(owner))
    if isinstance(owner, list | tuple):
        entries: list[tuple[Any, Any]] = list(enumerate(owner))
    else:
        entries = list((owner if isinstance(owner, dict) else getattr(owner, "__dict__", {})).items())
    for key, value in entries:
        if isinstance(value, Layer) and id(value) not in seen:
            inner = [] if value.state() else list(_slots(value, seen))
            if not inner:
                seen.add(id(value))
                yield Slot(owner, key)
            yield from inner
        elif isinstance(value, list | tuple | dict) or callable(getattr(value, "parameters", None)):
            yield from _slots(value, seen)


def leaves(model: Any) -> list[Layer]:
    """List the leaf layers of `model`; a layer that holds no others is its own leaf."""
    found = [slot.get() for slot in slots(model)]
    return found or ([model] if isinstance(model, Layer) else [])


def parameters_of(model: Any) -> list[Tensor]:
    """Return model.parameters(); raises TypeError for an object without."""
    if not callable(getattr(model, "parameters", None)):
        raise TypeError(f"{type(model).__name__} is no model: it has no parameters() method that lists its Tensors.")
    return list(model.parameters())


def parameter_count(model: Any) -> int:
    """Return the number of learned values: the model's own count_parameters() if it has one, else over parameters()."""
    own = getattr(model, "count_parameters", None)
    return int(own()) if callable(own) else sum(p.size for p in parameters_of(model))


def held_bytes(model: Any) -> int:
    """Return the bytes of the arrays the model consists of, as they are stored: int8 weights take one byte each.

    What a layer only prepares for speed is not part of it. Parameters outside of any layer count as tensors.
    """
    described = [layer for layer in leaves(model) if layer.state()]
    total = sum(array.nbytes for layer in described for array in layer.state().values())
    covered = {id(p) for layer in described for p in layer.parameters()}
    return total + sum(p.memory_footprint() for p in parameters_of(model) if id(p) not in covered)


def run(model: Any, x: Tensor) -> Any:
    """Return model.forward(x), or model(x) for a model without forward; raises TypeError if it has neither."""
    forward = getattr(model, "forward", model)
    if not callable(forward):
        raise TypeError(f"{type(model).__name__} is no model: it has no forward(x) method and cannot be called.")
    return forward(x)


@contextmanager
def inference(model: Any) -> Iterator[None]:
    """Run a block with the model's layers in eval mode and without recording gradients; modes are put back after it."""
    layers = {id(layer): layer for leaf in leaves(model) for layer in walk(leaf)}
    if isinstance(model, Layer):
        layers |= {id(layer): layer for layer in walk(model)}
    with evaluating(layers.values()):
        yield


def observe(model: Any, x: Tensor, seen: Callable[[Layer, Tensor, Tensor], None]) -> Any:
    """Run `model` on `x` for inference, and tell `seen` each leaf layer with its input and output."""
    watched = leaves(model)
    try:
        for layer in watched:
            # An instance attribute shadows the class's method for the time of this call.
            layer.forward = _watched(layer, layer.forward, seen)  # type: ignore[method-assign]
        with inference(model):
            return run(model, x)
    finally:
        for layer in watched:
            vars(layer).pop("forward", None)


def _watched(layer: Layer, forward: Callable[..., Tensor], seen: Callable[[Layer, Tensor, Tensor], None]) -> Any:
    def watching(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = forward(x, *args, **kwargs)
        seen(layer, x, out)
        return out

    return watching


def trace(model: Any, input_shape: tuple[int, ...]) -> list[Pass]:
    """List what each leaf layer sees, in order of execution, for an input of zeros of `input_shape`."""
    passes: list[Pass] = []
    observe(model, Tensor(np.zeros(input_shape)), lambda layer, x, out: passes.append(Pass(layer, x.shape, out.shape)))
    return passes
