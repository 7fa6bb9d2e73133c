"""A network as a list of steps: each layer that does work, with what the same operation computes besides.

A batch norm and a ReLU after a product, the sum of a residual block and its ReLU are part of the step before them;
Dropout and Flatten cost nothing in inference and belong to the step after them. Only structure: which operation
computes a step is the business of lowering.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeAlias

from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d
from tinytorch.models.network import Network, Residual
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = ["CONVOLUTIONS", "LINEAR_MAPS", "Shape", "Step", "fuse_steps"]

Shape: TypeAlias = tuple[int, ...]

# By exact type: a subclass may compute something else.
CONVOLUTIONS: tuple[type[Layer], ...] = (Conv2d, QuantizedConv2d, SparseConv2d)
LINEAR_MAPS: tuple[type[Layer], ...] = (BlockSparseLinear, Linear, QuantizedLinear, SparseLinear)
_FREE: tuple[type[Layer], ...] = (Dropout, Flatten)  # what leaves every number where it is


@dataclass(frozen=True, eq=False)
class Step:
    """What is computed at once: `layer` (None: the sum of `inputs`), then `norm`, plus `addend`, then a ReLU.

    `name` is the layer's, `names` are all leaves that it stands for. Values are numbered; 0 is the network's input.
    `before` and `after` are shapes of one sample. `block` is the outermost residual block around it, "" for none.
    """

    name: str
    names: tuple[str, ...]
    layer: Layer | None
    inputs: tuple[int, ...]
    output: int
    before: Shape
    after: Shape
    norm: BatchNorm2d | None = None
    has_relu: bool = False
    addend: int | None = None
    block: str = ""

    @property
    def reads(self) -> tuple[int, ...]:
        """The values that it reads."""
        return self.inputs if self.addend is None else (*self.inputs, self.addend)


def fuse_steps(model: Network, eager: Collection[str] = ()) -> list[Step]:
    """Return the steps of a network in an order in which they can be computed.

    The residual blocks named in `eager` become one step each. A network in which nothing does any work has no steps.
    """
    fusion = _Fusion(frozenset(eager))
    fusion.chain("", model, model.input_shape, 0)
    if fusion.steps and fusion.waiting:
        last = fusion.steps[-1]
        fusion.steps[-1] = replace(last, names=(*last.names, *fusion.waiting))
    return fusion.steps


class _Fusion:
    """Walks a network: `steps` so far, and in `waiting` the names of free layers that the next step will take."""

    def __init__(self, eager: frozenset[str]) -> None:
        self.eager = eager
        self.steps: list[Step] = []
        self.waiting: list[str] = []
        self.block = ""
        self.values = 1

    def chain(self, prefix: str, network: Network, shape: Shape, value: int) -> int:
        """Add the layers of a network that reads `value`; return the value it gives."""
        own = len(self.steps)  # an earlier step's value may have other readers
        for name, layer in network.children().items():
            after, full = layer.output_shape(shape), f"{prefix}{name}"
            if isinstance(layer, Residual) and full not in self.eager:
                value, own = self._residual(full, layer, shape, value), len(self.steps)
            elif isinstance(layer, Network):
                value = self.chain(f"{full}.", layer, shape, value)  # its last step may take what follows
            elif type(layer) in _FREE:
                self.waiting.append(full)
            elif len(self.steps) > own and (fused := _absorbed(self.steps[-1], layer)) is not None:
                self._take(replace(fused, names=(*fused.names, *self._names(full))))
            else:
                value = self._add(full, _leaf_names(full, layer), layer, (value,), shape, after)
            shape = after
        return value

    def _residual(self, name: str, layer: Residual, shape: Shape, value: int) -> int:
        outer, self.block = self.block, self.block or name
        around = value
        if layer.shortcut is not None:
            around = self.chain(f"{name}.shortcut.", layer.shortcut, shape, value)
        first = len(self.steps)
        inside = self.chain(f"{name}.", layer.body, shape, value)
        after = layer.output_shape(shape)
        last = self.steps[-1] if len(self.steps) > first else None
        if last is not None and last.output == inside and _takes_addend(last):
            self._take(replace(last, addend=around, has_relu=True))
        else:
            inside = self._add(f"{name}.add", (), None, (inside, around), after, after)
            self._take(replace(self.steps[-1], has_relu=True))
        self.block = outer
        return inside

    def _add(
        self,
        name: str,
        names: tuple[str, ...],
        layer: Layer | None,
        inputs: tuple[int, ...],
        before: Shape,
        after: Shape,
    ) -> int:
        output, self.values = self.values, self.values + 1
        self.steps.append(Step(name, self._names(*names), layer, inputs, output, before, after, block=self.block))
        return output

    def _take(self, step: Step) -> None:
        self.steps[-1] = step

    def _names(self, *names: str) -> tuple[str, ...]:
        waiting, self.waiting = self.waiting, []
        return (*waiting, *names)


def _leaf_names(name: str, layer: Layer) -> tuple[str, ...]:
    """Return the name of a leaf, or of all leaves in a block that is one step."""
    if not isinstance(layer, Residual):
        return (name,)
    shape = layer.body.input_shape
    alone = Network({"block": layer}, shape)
    return tuple(name + inner.removeprefix("block") for inner, _ in alone.named_layers())


def _absorbed(step: Step, layer: Layer) -> Step | None:
    """Return the step with `layer` after it, or None where it must be a step of its own."""
    if step.has_relu or step.addend is not None:
        return None
    if type(layer) is BatchNorm2d:
        return replace(step, norm=layer) if type(step.layer) in CONVOLUTIONS and step.norm is None else None
    is_fit = type(layer) is ReLU and type(step.layer) in (*CONVOLUTIONS, *LINEAR_MAPS, BatchNorm2d)
    return replace(step, has_relu=True) if is_fit else None


def _takes_addend(step: Step) -> bool:
    return type(step.layer) in CONVOLUTIONS and not step.has_relu and step.addend is None
