"""Copy a layer without some of its inputs or outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d
from tinytorch.runtime.block_sparse import BlockSparseLinear, kept_blocks
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = ["NARROW", "narrowed"]

Keep: TypeAlias = NDArray[np.intp] | slice

ALL = slice(None)


def narrowed(layer: Layer, inputs: Keep = ALL, outputs: Keep = ALL) -> Layer:
    """Return `layer` with only these input features and output units (sorted indices), in the same mode.

    A sparse layer keeps its mask and chooses its storage again. Raises KeyError for a type that is not in `NARROW`.
    """
    narrow = NARROW[type(layer)](layer, inputs, outputs)
    narrow.training = layer.training
    return narrow


def _linear(layer: Linear, inputs: Keep, outputs: Keep) -> Linear:
    state = {"weight": np.ascontiguousarray(layer.weight.data[inputs][:, outputs])}
    if layer.bias is not None:
        state["bias"] = layer.bias.data[outputs]
    in_features, out_features = state["weight"].shape
    return Linear.from_state({**layer.config(), "in_features": in_features, "out_features": out_features}, state)


def _conv(layer: Conv2d, inputs: Keep, outputs: Keep) -> Conv2d:
    state = {"weight": np.ascontiguousarray(layer.weight.data[outputs][:, inputs])}
    if layer.bias is not None:
        state["bias"] = layer.bias.data[outputs]
    out_channels, in_channels = state["weight"].shape[:2]
    return Conv2d.from_state({**layer.config(), "in_channels": in_channels, "out_channels": out_channels}, state)


def _batch_norm(layer: BatchNorm2d, inputs: Keep, outputs: Keep) -> BatchNorm2d:
    state = {name: array[outputs] for name, array in layer.state().items()}
    return BatchNorm2d.from_state({**layer.config(), "num_features": len(state["gamma"])}, state)


def _sparse_linear(layer: SparseLinear, inputs: Keep, outputs: Keep) -> SparseLinear:
    return SparseLinear(_linear(layer.dense, inputs, outputs), layer.mask[inputs][:, outputs])


def _sparse_conv(layer: SparseConv2d, inputs: Keep, outputs: Keep) -> SparseConv2d:
    return SparseConv2d(_conv(layer.dense, inputs, outputs), layer.mask[outputs][:, inputs])


def _block_sparse(layer: BlockSparseLinear, inputs: Keep, outputs: Keep) -> BlockSparseLinear:
    """Without some outputs the others form other blocks: kept is what holds anything that was."""
    return BlockSparseLinear(_linear(layer.dense, inputs, outputs), kept_blocks(layer.mask[inputs][:, outputs]))


NARROW: dict[type[Layer], Callable[[Any, Keep, Keep], Layer]] = {
    BatchNorm2d: _batch_norm,
    BlockSparseLinear: _block_sparse,
    Conv2d: _conv,
    Linear: _linear,
    SparseConv2d: _sparse_conv,
    SparseLinear: _sparse_linear,
}
