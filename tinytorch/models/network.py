"""Networks of named layers: `Network`, a sequence, and `Residual`, a sequence with a way around it.

Every layer has a dotted name ("fc1", "block2.conv1"), by which passes and reports refer to it. A network knows the
shape of one input sample and checks that every layer accepts what the layer before it gives. How layers compute is
their business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import ReLU
from tinytorch.core.layer import JSON, Layer, evaluating, walk
from tinytorch.core.layers import Sequential
from tinytorch.core.tensor import Tensor
from tinytorch.errors import TargetError

__all__ = ["Network", "Residual"]

Shape = tuple[int, ...]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Network(Sequential):
    """Run named layers one after the other on samples of `input_shape` (without the batch axis).

    Raises ValueError for a bad name and, naming the layer, for shapes that do not fit; TypeError for a container that
    is neither a Network nor a Residual, because nothing is known about the order of its layers.
    """

    def __init__(self, layers: Mapping[str, Layer], input_shape: Shape) -> None:
        super().__init__(list(layers.values()))
        self.names = tuple(layers)
        self.input_shape = tuple(input_shape)
        if not layers:
            raise ValueError("a network needs at least one layer")
        if not self.input_shape or not all(isinstance(size, int) and size > 0 for size in self.input_shape):
            raise ValueError(f"input_shape must be positive integers, not {input_shape}")
        for name, layer in layers.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"a layer's name is a letter, then letters, digits or _, at most 64, not {name!r}")
            # A layer that merely holds others in its attributes is a leaf here, one that lists them a container.
            is_container = type(layer).children is not Layer.children and bool(layer.children())
            if is_container and not isinstance(layer, (Network, Residual)):
                raise TypeError(f"{name} is a {type(layer).__name__}, whose inner layers a network cannot follow")
        self.output_shape(self.input_shape)

    def children(self) -> dict[str, Layer]:
        """Return the direct layers by name, in order of execution."""
        return dict(zip(self.names, self.layers, strict=True))

    def parts(self) -> dict[str, Layer]:
        """Return the layers that it is stored as, which `from_children` takes: the direct ones."""
        return self.children()

    def config(self) -> dict[str, JSON]:
        """Return the input shape; the layers describe themselves."""
        return {"input_shape": list(self.input_shape)}

    @classmethod
    def from_children(cls, config: Mapping[str, Any], children: Mapping[str, Layer]) -> Self:
        """Build the network of these layers; the inverse of `config` and `children`."""
        return cls(children, tuple(config["input_shape"]))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Follow the shape of a sample through all layers; raises ValueError with the layer's name where it fails."""
        for name, layer in self.children().items():
            try:
                input_shape = layer.output_shape(input_shape)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return input_shape

    def named_layers(self) -> list[tuple[str, Layer]]:
        """Return the leaves with their dotted names, in order of execution."""
        return [(name, layer) for name, layer, _, _ in self.named_shapes()]

    def named_shapes(self) -> list[tuple[str, Layer, Shape, Shape]]:
        """Return the leaves in order of execution: dotted name, layer, shapes of one sample before and after it."""
        return list(_leaves("", self, self.input_shape))

    def replaced(self, changes: Mapping[str, Layer | None]) -> Network:
        """Return a network with the leaves of these dotted names replaced, or left out where the new one is None.

        All others are shared with this one. A Network in a leaf's place continues its name ("fc1.inputs"). Raises
        TargetError for a name that is not there, ValueError if the new layers do not fit or none is left.
        """
        names = [name for name, _ in self.named_layers()]
        for name in changes:
            if name not in names:
                raise TargetError(name, names)
        return _replaced("", self, changes)

    def predict(self, images: NDArray[np.float32], batch_size: int = 256) -> NDArray[np.float32]:
        """Return the outputs, usually logits (N, classes), for samples (N, *input_shape), `batch_size` at a time.

        It computes as after `eval()`, without gradients, and leaves the mode as it was. Raises ValueError for another
        shape or type.
        """
        if images.shape[1:] != self.input_shape or images.dtype != np.float32:
            found = f"{images.dtype} {images.shape}"
            raise ValueError(f"predict needs float32 samples of shape (N, *{self.input_shape}), not {found}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        with evaluating(walk(self)):
            starts = range(0, len(images), batch_size)
            parts = [self.forward(Tensor(images[start : start + batch_size])).data for start in starts]
        if not parts:
            return np.empty((0, *self.output_shape(self.input_shape)), dtype=np.float32)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def random_samples(self, count: int) -> NDArray[np.float32]:
        """Return samples (count, *input_shape) that it can be timed on, always the same: normal random numbers."""
        return np.random.default_rng(0).standard_normal((count, *self.input_shape), np.float32)

    def macs(self, input_shape: Shape | None = None) -> int:
        """Return the multiply-accumulates that one sample (of `input_shape` unless another is given) costs."""
        return super().macs(self.input_shape if input_shape is None else input_shape)

    def parameter_count(self) -> int:
        """Return the number of learned values of all layers."""
        return sum(layer.parameter_count() for _, layer in self.named_layers())

    def nonzero_count(self) -> int:
        """Return how many of them are not zero."""
        return sum(layer.nonzero_count() for _, layer in self.named_layers())

    def working_set_bytes(self) -> int:
        """Return the bytes of arrays that a forward pass reads in all layers."""
        return sum(layer.working_set_bytes() for _, layer in self.named_layers())


class Residual(Layer):
    """Compute relu(body(x) + shortcut(x)); without a shortcut network, x itself is added [He et al., 2016].

    The names of the body's layers continue those of the block ("block1.conv1"), the shortcut's have a step in between
    ("block1.shortcut.conv"). Raises ValueError if the two sides give different shapes.
    """

    def __init__(self, body: Network, shortcut: Network | None = None) -> None:
        self.body = body
        self.shortcut = shortcut
        self.relu = ReLU()
        if "shortcut" in body.names:
            raise ValueError("no layer of a residual's body may be named 'shortcut'")
        self.output_shape(body.input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Add both ways for a batch `x`."""
        around = x if self.shortcut is None else self.shortcut.forward(x)
        return self.relu.forward(self.body.forward(x) + around)

    def children(self) -> dict[str, Layer]:
        """Return body and, if there is one, shortcut."""
        return {"body": self.body} if self.shortcut is None else {"body": self.body, "shortcut": self.shortcut}

    @classmethod
    def from_children(cls, config: Mapping[str, Any], children: Mapping[str, Layer]) -> Self:
        """Build the block of these networks; the inverse of `children`."""
        body, shortcut = children.get("body"), children.get("shortcut")
        if config or children.keys() - {"body", "shortcut"}:
            raise ValueError(f"a Residual has body and shortcut only, not {[*config, *children]}")
        if not isinstance(body, Network) or not isinstance(shortcut, Network | None):
            raise ValueError("body and shortcut of a Residual must be networks")
        return cls(body, shortcut)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the sum for one sample; raises ValueError unless both ways take and give the same."""
        around = input_shape
        if self.shortcut is not None:
            if self.shortcut.input_shape != input_shape:
                raise ValueError(f"shortcut is built for samples {self.shortcut.input_shape}, not {input_shape}")
            around = self.shortcut.output_shape(input_shape)
        if self.body.input_shape != input_shape:
            raise ValueError(f"body is built for samples {self.body.input_shape}, not {input_shape}")
        result = self.body.output_shape(input_shape)
        if result != around:
            raise ValueError(f"body gives {result}, but {around} is to be added to it")
        return result

    def macs(self, input_shape: Shape) -> int:
        """Return the multiply-accumulates of both ways."""
        return sum(way.macs(input_shape) for way in (self.body, self.shortcut) if way is not None)


def _leaves(prefix: str, layer: Layer, shape: Shape) -> Iterator[tuple[str, Layer, Shape, Shape]]:
    """Yield (name, leaf, shape before, shape after) below `layer`, whose own name with a dot is `prefix`."""
    if isinstance(layer, Residual):
        yield from _leaves(prefix, layer.body, shape)
        if layer.shortcut is not None:
            yield from _leaves(f"{prefix}shortcut.", layer.shortcut, shape)
    elif isinstance(layer, Network):
        for name, child in layer.children().items():
            yield from _leaves(f"{prefix}{name}.", child, shape)
            shape = child.output_shape(shape)
    else:
        yield prefix[:-1], layer, shape, layer.output_shape(shape)


def _replaced(prefix: str, network: Network, changes: Mapping[str, Layer | None]) -> Network:
    children = {name: _replacement(f"{prefix}{name}", child, changes) for name, child in network.children().items()}
    return Network({name: child for name, child in children.items() if child is not None}, network.input_shape)


def _replacement(name: str, layer: Layer, changes: Mapping[str, Layer | None]) -> Layer | None:
    if not any(changed == name or changed.startswith(f"{name}.") for changed in changes):
        return layer
    if isinstance(layer, Residual):
        shortcut = layer.shortcut and _replaced(f"{name}.shortcut.", layer.shortcut, changes)
        return Residual(_replaced(f"{name}.", layer.body, changes), shortcut)
    if isinstance(layer, Network):
        return _replaced(f"{name}.", layer, changes)
    return changes[name]
