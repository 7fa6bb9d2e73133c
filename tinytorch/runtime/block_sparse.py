"""A linear layer whose weights are kept or removed in blocks of 16 outputs and one input.

A block is a vector of a processor's registers, so that a kernel can skip what is removed and read nothing of it: the
one kind of unstructured sparsity that is faster than a dense product from about a third of zeros on. An inference
session does so where the native kernels run; the layer itself, which trains and is the reference, multiplies zeros.
The last 16 outputs may be fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError
from tinytorch.runtime import storage as storages
from tinytorch.runtime.geometry import LinearGeometry
from tinytorch.runtime.sparse import Sparse, masked_linear

__all__ = ["BLOCK", "BlockSparseLinear", "by_block", "has_empty_blocks", "kept_blocks"]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

BLOCK = 16  # outputs
_WORTH_SKIPPING = 0.7  # of the blocks kept at most


class BlockSparseLinear(Sparse):
    """A Linear of which only the blocks in a mask (ceil(out / 16), in) are kept; training keeps the others at zero.

    `mask` says which weights (in, out) lie in a block that is kept.
    """

    dense: Linear
    _dense_type = Linear

    def __init__(self, dense: Linear, blocks: Mask, storage: str | None = None) -> None:
        inputs, outputs = dense.weight.shape
        rows = -(-outputs // BLOCK)
        if blocks.shape != (rows, inputs) or blocks.dtype != np.bool_:
            raise ValueError(
                f"the blocks must be a bool mask of shape {(rows, inputs)}, not {blocks.dtype} {blocks.shape}."
            )
        self.blocks = blocks.copy()
        storage = storage or storages.smallest(blocks, 32, BLOCK, outputs / (rows * BLOCK))
        super().__init__(dense, np.repeat(blocks, BLOCK, axis=0)[:outputs].T, storage)

    def _masked_forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return masked_linear(self.dense, x, weight)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiply-accumulates of one sample that are left; a kernel skips the others."""
        weights = self.weight.size
        return self.dense.macs(input_shape) // weights * int(np.count_nonzero(self.mask))

    def state(self) -> dict[str, Array]:
        """Return the stored arrays: the encoded weight, block after block of a row of blocks, and the bias."""
        arrays = dict(self.dense.state())
        if self.storage == "dense":
            return arrays
        weight = arrays.pop("weight")
        values = by_block(weight)[self.blocks][_is_real(self.blocks, weight.shape[1])]
        return {**storages.encode_index(self.blocks, self.storage), "weight_values": values, **arrays}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer from encoded arrays; raises ModelFileError where they do not fit `config`."""
        dense_config = {name: value for name, value in config.items() if name != "storage"}
        geometry, storage = LinearGeometry.from_config(config), config.get("storage", "")
        *index, values = storages.arrays_of(state, storage, 32)
        others = {name: array for name, array in state.items() if name not in storages.ARRAYS[storage]}
        if storage == "dense":
            dense = Linear.from_state(dense_config, {"weight": values, **others})
            return cls(dense, kept_blocks(dense.weight.data), storage)
        try:
            weight, blocks = _decoded(index, values, storage, geometry)
        except ValueError as error:
            raise ModelFileError(f"a {storage} weight in blocks is not what it declares: {error}.") from error
        return cls(Linear.from_state(dense_config, {"weight": weight, **others}), blocks, storage)


def by_block(weight: Array) -> Array:
    """Return weights (in, out) as blocks (ceil(out / 16), in, 16); the last 16 outputs are filled up with zeros."""
    inputs, outputs = weight.shape
    rows = -(-outputs // BLOCK)
    padded = np.zeros((inputs, rows * BLOCK), weight.dtype)
    padded[:, :outputs] = weight
    return np.ascontiguousarray(padded.reshape(inputs, rows, BLOCK).transpose(1, 0, 2))


def has_empty_blocks(weight: Array) -> bool:
    """Say whether so many blocks of weights (in, out) are empty that skipping them may pay: at least 30 %.

    With fewer, reading the columns costs what it saves.
    """
    # Blocks are at least as dense as their weights, whose zeros are counted sooner.
    if np.count_nonzero(weight) > _WORTH_SKIPPING * weight.size:
        return False
    return bool(kept_blocks(weight).mean() <= _WORTH_SKIPPING)


def kept_blocks(weight: Array) -> Mask:
    """Return which blocks (ceil(out / 16), in) of weights or a mask (in, out) hold anything but zeros."""
    kept: Mask = np.logical_or.reduce(by_block(weight != 0), axis=2)
    return kept


def _is_real(blocks: Mask, outputs: int) -> Mask:
    """Return which values (kept blocks, 16) belong to an output, and not to what fills up the last block."""
    rows = np.nonzero(blocks)[0]
    real: Mask = rows[:, None] * BLOCK + np.arange(BLOCK) < outputs
    return real


def _decoded(index: list[Array], values: Array, storage: str, geometry: LinearGeometry) -> tuple[Array, Mask]:
    """Return weights (in, out) and the mask of blocks; raises ValueError where index and values contradict."""
    inputs, outputs = geometry.in_features, geometry.out_features
    rows = -(-outputs // BLOCK)
    kept_count = storages.count_kept(index, storage, (rows, inputs))
    if not kept_count <= values.size <= kept_count * BLOCK or values.ndim != 1:  # before anything is allocated
        raise ValueError(f"{kept_count} blocks do not hold {values.size} values")
    blocks = storages.decode_index(index, storage, kept_count, (rows, inputs), BLOCK)
    real = _is_real(blocks, outputs)
    if values.shape != (int(np.count_nonzero(real)),):
        raise ValueError(f"its blocks hold {np.count_nonzero(real)} values, but {values.size} are stored")
    kept = np.zeros(real.shape, np.float32)
    kept[real] = values
    whole = np.zeros((rows, inputs, BLOCK), np.float32)
    whole[blocks] = kept
    return np.ascontiguousarray(whole.transpose(1, 0, 2).reshape(inputs, rows * BLOCK)[:, :outputs]), blocks
