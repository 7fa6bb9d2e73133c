"""Remove the weights of linear layers in blocks of 16 outputs and one input, which native kernels skip.

Of the n blocks of a layer, round(sparsity · n) of least norm (l1 or l2) go, ties in storage order; blocks that an
earlier pruning removed count among them. With the scope `global` all chosen layers are ranked together by norm divided
by the layer's root mean square; a layer with a sparsity of its own (`per_layer`) is pruned by itself. Convolutions stay
as they are: there is no kernel that would gain. [Gray et al., "GPU Kernels for Block-Sparse Weights", 2017; blocks by
norm: Narang et al., "Block-Sparse Recurrent Neural Networks", 2017]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.pruning import NORMS, NormSettings, Task, emptied
from tinytorch.passes.ranking import largest, largest_of_all
from tinytorch.passes.settings import from_params, to_params
from tinytorch.runtime.block_sparse import BLOCK, BlockSparseLinear, by_block, kept_blocks
from tinytorch.runtime.sparse import SparseLinear
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

NEEDS: frozenset[str] = frozenset()
_GONE = -float(np.finfo(np.float64).tiny)  # less than any norm, and nothing in a mean square


@dataclass(frozen=True)
class Settings(NormSettings):
    """What share of the blocks goes, how they are ranked, and from which layers; see PruneSettings."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "block_prune", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with block-sparse linear layers, and the effect; `data` and `seed` are not used. Biases stay.

    Raises TargetError for a glob that matches nothing, TinyTorchError for a quantized layer, and NoEffectError if a
    positive sparsity removed nothing.
    """
    task = Task.of("block_prune", model, settings, "put prune before quantize")
    layers = dict(model.named_layers())
    norms = {name: _norms(layers[name], NORMS[settings.importance]) for name in task.sparsity}
    kept = task.ranked(norms, largest, largest_of_all)
    pruned = {name: _pruned(layers[name], mask) for name, mask in kept.items() if _removes(layers[name], mask)}
    few = "no layer chosen has enough blocks for it, or they are pruned this far already"
    task.check_effect(bool(pruned), "block", few)
    result = clone(model.replaced(pruned))
    after = dict(result.named_layers())
    matched = {name: _report(sparsity, after[name]) for name, sparsity in task.sparsity.items()}
    effect = measure_effect("block_prune", to_params(settings), model, result, matched, warnings=_warnings(pruned))
    return result, effect, None


def _norms(layer: Any, order: int) -> Array:
    """Return the norm of each block (ceil(out / 16), in), float64; a removed one has less than any other."""
    blocks = by_block(layer.weight.data.astype(np.float64))
    norms: Array = np.linalg.norm(blocks, order, axis=2)
    return np.where(layer.blocks, norms, _GONE) if isinstance(layer, BlockSparseLinear) else norms


def _blocks(layer: Any) -> Mask:
    """Return which blocks of a layer are still there."""
    if isinstance(layer, BlockSparseLinear):
        return layer.blocks
    rows = -(-layer.weight.shape[1] // BLOCK)
    return np.ones((rows, layer.weight.shape[0]), np.bool_)


def _removes(layer: Any, kept: Mask) -> bool:
    return bool((_blocks(layer) & ~kept).any())


def _pruned(layer: Any, kept: Mask) -> BlockSparseLinear:
    dense = layer.dense if isinstance(layer, SparseLinear | BlockSparseLinear) else layer
    blocks = kept & _blocks(layer)
    # What an earlier pruning of single weights left empty needs no block.
    pruned = BlockSparseLinear(dense, blocks & kept_blocks(layer.mask) if isinstance(layer, SparseLinear) else blocks)
    pruned.training = layer.training
    return pruned


def _report(sparsity: float, layer: Any) -> dict[str, Any]:
    blocks = _blocks(layer)
    left = int(np.count_nonzero(blocks))
    storage = layer.storage if isinstance(layer, SparseLinear | BlockSparseLinear) else "dense"
    return {
        "sparsity": sparsity,
        "sparsity_reached": 1 - left / blocks.size,
        "blocks_before": blocks.size,
        "blocks_after": left,
        "storage": storage,
    }


def _warnings(pruned: Mapping[str, BlockSparseLinear]) -> list[str]:
    if not pruned:
        return []
    skipped = "removed blocks are skipped by the native kernels; where these do not run, zeros are multiplied"
    return [skipped, *emptied({name: layer.blocks for name, layer in pruned.items()})]
