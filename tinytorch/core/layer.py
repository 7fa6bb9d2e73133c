"""The layer: what every building block of a network can do, and say about itself.

A layer computes (`forward`), names its parameters, and describes itself by `config` (JSON facts), `state` (arrays),
`output_shape` and `macs`, from which saving, profiling and compression follow. The layers themselves are elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeAlias

import numpy as np

from tinytorch.core.function import Array, no_grad
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError

__all__ = [
    "JSON",
    "Layer",
    "Leaf",
    "Stateless",
    "checked_config",
    "checked_state",
    "evaluating",
    "named_leaves",
    "walk",
]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"


class Layer:
    """The base of all layers; a subclass defines `forward` and, if it has any, `parameters`.

    What tinytorch ships defines all of these methods. Course code that only has forward works too: the layers in its
    attributes are found.
    """

    training: bool = True

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output for a batch `x`."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x).")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute `forward` of the same arguments."""
        return self.forward(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.config().items())})"

    def parameters(self) -> list[Tensor]:
        """List the trainable tensors once each: the layer's own, weight before bias, then its children's in order."""
        return list(dict.fromkeys(p for child in self.children().values() for p in child.parameters()))

    def children(self) -> dict[str, Layer]:
        """Name the layers directly inside this one, in order of execution; here: of the attributes that hold them.

        Layers in a list, tuple or dict are called "attribute.position" or "attribute.key".
        """
        return {name: part for name, part in _parts(self) if isinstance(part, Layer)}

    def train(self) -> Self:
        """Switch this layer and all inside it to training behaviour."""
        return self._set_training(True)

    def eval(self) -> Self:
        """Switch this layer and all inside it to inference behaviour."""
        return self._set_training(False)

    def _set_training(self, is_training: bool) -> Self:
        for layer in walk(self):
            layer.training = is_training
        return self

    def config(self) -> dict[str, JSON]:
        """Return the constructor's facts as JSON."""
        return {}

    def state(self) -> dict[str, Array]:
        """Return the layer's own arrays by name, not its children's; empty if it has none."""
        return {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build a layer with exactly these arrays; raise ModelFileError where they contradict `config`."""
        raise ModelFileError(f"{cls.__name__} cannot be built from a saved state.")

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample for one input sample, without the batch axis.

        Raises ValueError for a shape this layer cannot take.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say its output shape.")

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiply-accumulates one sample costs in this layer; 0 for elementwise work."""
        raise NotImplementedError(f"{type(self).__name__} does not say its multiply-accumulates.")

    def inference_layer(self) -> Layer:
        """Return the layer that computes the same in inference: itself, unless it stands around another."""
        return self

    def parameter_count(self) -> int:
        """Return the number of values the layer has learned, in whatever form it holds them."""
        return sum(parameter.size for parameter in self.parameters())

    def working_set_bytes(self) -> int:
        """Return the bytes of arrays that a forward pass reads, which can be more than are stored."""
        return sum(array.nbytes for array in self.state().values())

    def nonzero_count(self) -> int:
        """Return how many of the learned values are not zero."""
        return sum(int(np.count_nonzero(parameter.data)) for parameter in self.parameters())


class Leaf(Layer):
    """A layer that holds no others."""

    def children(self) -> dict[str, Layer]:
        """Return none."""
        return {}


class Stateless(Leaf):
    """A leaf without arrays, which its config rebuilds; elementwise and of unchanged shape unless it says otherwise."""

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer from `config`; raise ModelFileError for unknown settings or any array."""
        checked_state(cls, state, {})
        with checked_config(cls, config):
            return cls(**config)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return tuple(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return 0: there are no multiply-accumulates."""
        return 0


def walk(model: Any) -> Iterator[Layer]:
    """Yield every layer inside `model` once, itself included, parents first, in order of execution.

    A model that is no Layer, as course code may write it, consists of the layers in its attributes and in those of
    other such objects there.
    """
    return _walk(model, set())


@contextmanager
def evaluating(layers: Iterable[Layer]) -> Iterator[None]:
    """Run a block with these layers in eval mode and without recording gradients; modes are put back after it."""
    trained = [layer for layer in layers if layer.training]
    for layer in trained:
        layer.training = False
    try:
        with no_grad():
            yield
    finally:
        for layer in trained:
            layer.training = True


def _walk(model: Any, seen: set[int]) -> Iterator[Layer]:
    if id(model) in seen:
        return
    seen.add(id(model))
    if isinstance(model, Layer):
        yield model
        parts: Iterable[Any] = model.children().values()
    else:
        parts = (part for _, part in _parts(model))
    for part in parts:
        yield from _walk(part, seen)


def named_leaves(model: Any) -> list[tuple[str, Layer]]:
    """List the layers inside `model` that hold no others, by dotted name ("blocks.0.mlp.linear1"), as `walk` does.

    A model that is such a layer itself is called by its class.
    """
    found = [(name.lstrip("."), layer) for name, layer in _named_leaves("", model, set())]
    return [(name or type(layer).__name__, layer) for name, layer in found]


def _named_leaves(name: str, model: Any, seen: set[int]) -> Iterator[tuple[str, Layer]]:
    if id(model) in seen:
        return
    seen.add(id(model))
    parts = list(model.children().items() if isinstance(model, Layer) else _parts(model))
    if isinstance(model, Layer) and not parts:
        yield name, model
    for part_name, part in parts:
        yield from _named_leaves(f"{name}.{part_name}", part, seen)


def _parts(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the public attributes of `owner` hold, by name: layers, and other objects with parameters()."""
    for name, value in list(getattr(owner, "__dict__", {}).items()):
        entries: Iterable[tuple[str, Any]] = [(name, value)]
        if isinstance(value, list | tuple):
            entries = [(f"{name}.{i}", entry) for i, entry in enumerate(value)]
        elif isinstance(value, dict):
            entries = [(f"{name}.{key}", entry) for key, entry in value.items()]
        if not name.startswith("_"):
            yield from (part for part in entries if callable(getattr(part[1], "parameters", None)))


@contextmanager
def checked_config(cls: type[Layer], config: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a missing, misspelt or senseless setting raises inside the block into a ModelFileError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"{cls.__name__} cannot be built from {dict(config)}: {error!r}") from error


def checked_state(
    cls: type[Layer], state: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Return the arrays of `state` as parameters, after checking that there are exactly `shapes`, all float32."""
    if set(state) != set(shapes):
        raise ModelFileError(f"{cls.__name__} needs the arrays {sorted(shapes)}, but got {sorted(state)}.")
    for name, shape in shapes.items():
        if state[name].shape != shape or state[name].dtype != "float32":
            raise ModelFileError(
                f"{cls.__name__}.{name} must be float32 of shape {shape}, "
                f"but is {state[name].dtype} of shape {state[name].shape}."
            )
    return {name: Tensor(state[name], requires_grad=True) for name in shapes}
