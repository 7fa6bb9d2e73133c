"""Which units of a network can be removed: what each layer's outputs pass through, and which layer reads them.

A unit is a neuron of a linear layer or a channel of a convolution. It can go if its output reaches exactly one linear
layer or convolution through layers that keep units apart (elementwise, batch norm, pooling, dropout, flatten). Channels
that are added to others (before, around and at the end of a residual block) and the network's outputs cannot.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from tinytorch.core.activations import GELU, ReLU, Sigmoid, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.models.network import Network, Residual
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = ["Group", "OUTPUT", "find_groups", "steps"]

Shape: TypeAlias = tuple[int, ...]

_LINEAR = (Linear, SparseLinear, BlockSparseLinear, QuantizedLinear)
_CONV = (Conv2d, SparseConv2d, QuantizedConv2d)
_ELEMENTWISE = (ReLU, Sigmoid, Tanh, GELU, Dropout)
_POOLING = (MaxPool2d, AvgPool2d)


OUTPUT = "its units are the network's outputs"


@dataclass(frozen=True)
class Group:
    """The layers that removing units of `producer` changes.

    `norms` are the batch norms its `units` pass through; `consumer` reads `repeat` features of each unit (the pixels
    of a flattened channel).
    """

    producer: str
    units: int
    norms: tuple[str, ...]
    consumer: str
    repeat: int


@dataclass
class _Flow:
    """A producer's outputs on their way to a reader; units lie along the first axis of a sample, the last, or both."""

    producer: str
    units: int
    is_first: bool
    is_last: bool
    norms: list[str] = field(default_factory=list)
    repeat: int = 1

    def passes(self, name: str, layer: Layer, before: Shape) -> bool:
        """Follow the units through `layer`, if it keeps them apart."""
        if isinstance(layer, BatchNorm2d) and self.is_first and self.repeat == 1:
            self.norms.append(name)
            return True
        if isinstance(layer, Flatten) and self.is_first:
            self.repeat = math.prod(before) // self.units
            self.is_last = True
            return True
        return isinstance(layer, _ELEMENTWISE) or (isinstance(layer, _POOLING) and self.is_first)

    def ends_in(self, layer: Layer) -> bool:
        """Say whether `layer` reads the units as its input features or channels."""
        return self.is_last if isinstance(layer, _LINEAR) else self.is_first and self.repeat == 1


def find_groups(model: Network) -> tuple[dict[str, Group], dict[str, str]]:
    """Return the group of each prunable layer by its name, and for each other one the reason why it is not."""
    groups: dict[str, Group] = {}
    reasons: dict[str, str] = {}
    _scan("", model, OUTPUT, groups, reasons)
    return groups, reasons


def _scan(prefix: str, network: Network, at_end: str, groups: dict[str, Group], reasons: dict[str, str]) -> None:
    """Follow the layers of one sequence; `at_end` is the reason for what leaves it."""
    flow: _Flow | None = None
    for name, layer, before, after in steps(prefix, network):
        if isinstance(layer, Residual):
            around = f"its channels are added to others at the end of {name}"
            _scan(f"{name}.", layer.body, around, groups, reasons)
            if layer.shortcut is not None:
                _scan(f"{name}.shortcut.", layer.shortcut, around, groups, reasons)
        is_reader = isinstance(layer, _LINEAR + _CONV)
        if flow is not None and is_reader and flow.ends_in(layer):
            groups[flow.producer] = Group(flow.producer, flow.units, tuple(flow.norms), name, flow.repeat)
        elif flow is not None and (is_reader or not flow.passes(name, layer, before)):
            reasons[flow.producer] = _mixed_by(name, layer)
            flow = None
        if is_reader:
            is_linear = isinstance(layer, _LINEAR)
            flow = _Flow(name, after[-1 if is_linear else 0], not is_linear or len(after) == 1, is_linear)
    if flow is not None:
        reasons[flow.producer] = at_end


def _mixed_by(name: str, layer: Layer) -> str:
    if isinstance(layer, Residual):
        return f"its channels are added to others in {name}"
    return f"{name} ({type(layer).__name__}) does not keep its units apart"


def steps(prefix: str, network: Network) -> Iterator[tuple[str, Layer, Shape, Shape]]:
    """Yield (name, layer, shape before, shape after) along a sequence and those inside it; a residual as a whole."""
    shape = network.input_shape
    for name, layer in network.children().items():
        after = layer.output_shape(shape)
        if isinstance(layer, Network):
            yield from steps(f"{prefix}{name}.", layer)
        else:
            yield f"{prefix}{name}", layer, shape, after
        shape = after
