"""Set the weights of least magnitude to zero and store them sparse: smaller files, no faster run (`simulated`).

Of n weights, round(sparsity · n) of least |w| go, ties in storage order; weights that an earlier pruning removed count
among them. With the scope `global` all chosen layers are ranked together by |w| divided by the layer's root mean square
(so that a layer is not emptied because its weights are small throughout); a layer with a sparsity of its own
(`per_layer`) is pruned by itself. Each layer is stored in whichever form is smallest (tinytorch.runtime.storage). Only
where so much goes that many blocks of 16 weights are empty by chance, above about 93 %, may a session find a linear
layer faster with those skipped; then it is not called simulated. [Han et al., "Learning both Weights and Connections
for Efficient Neural Networks", 2015]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.pruning import PruneSettings, Task, emptied
from tinytorch.passes.ranking import largest, largest_of_all
from tinytorch.passes.settings import from_params, to_params
from tinytorch.runtime.block_sparse import has_empty_blocks
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply", "skips"]

Array: TypeAlias = NDArray[Any]

NEEDS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Settings(PruneSettings):
    """What share of the weights goes, ranked within a layer or across all, and from which layers; see PruneSettings."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "magnitude_prune", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with sparse layers, and the effect; `data` and `seed` are not used. Biases stay.

    Raises TargetError for a glob that matches nothing, TinyTorchError for a quantized layer, and NoEffectError if a
    positive sparsity removed nothing.
    """
    task = Task.of("magnitude_prune", model, settings, "put prune before quantize, magnitude before block")
    layers = dict(model.named_layers())
    masks = task.ranked({name: _magnitude(layers[name]) for name in task.sparsity}, largest, largest_of_all)
    pruned = {name: _sparse(layers[name], mask) for name, mask in masks.items() if _removes(layers[name], mask)}
    few = "no layer chosen has enough weights for it, or they are pruned this far already"
    task.check_effect(bool(pruned), "weight", few)
    result = clone(model.replaced(pruned))
    after = dict(result.named_layers())
    matched = {name: _report(sparsity, after[name]) for name, sparsity in task.sparsity.items()}
    is_simulated = bool(pruned) and not skips(result)
    given, warnings = to_params(settings), _warnings(pruned, is_simulated)
    return result, measure_effect("magnitude_prune", given, model, result, matched, is_simulated, warnings), None


def skips(model: Network) -> bool:
    """Say whether a session may skip pruned weights anywhere: so many are gone that whole blocks of 16 are empty."""
    layers = [layer for _, layer in model.named_layers() if type(layer) is SparseLinear]
    return any(has_empty_blocks(layer.weight.data) for layer in layers)


def _magnitude(layer: Any) -> Array:
    magnitude: Array = np.abs(layer.weight.data)
    return magnitude


def _removes(layer: Layer, mask: Array) -> bool:
    kept = layer.mask if isinstance(layer, SparseLinear | SparseConv2d) else np.ones_like(mask)
    return bool((kept & ~mask).any())


def _sparse(layer: Layer, mask: Array) -> Layer:
    if isinstance(layer, SparseLinear | SparseConv2d):
        sparse: Layer = type(layer)(layer.dense, layer.mask & mask)
    elif isinstance(layer, Linear):
        sparse = SparseLinear(layer, mask)
    else:
        assert isinstance(layer, Conv2d)
        sparse = SparseConv2d(layer, mask)
    sparse.training = layer.training
    return sparse


def _report(sparsity: float, layer: Layer) -> dict[str, Any]:
    if not isinstance(layer, SparseLinear | SparseConv2d):
        return {"sparsity": sparsity, "sparsity_reached": 0.0, "storage": "dense"}
    reached = 1.0 - float(np.count_nonzero(layer.mask)) / layer.mask.size
    return {"sparsity": sparsity, "sparsity_reached": reached, "storage": layer.storage}


def _warnings(pruned: Mapping[str, Any], is_simulated: bool) -> list[str]:
    if not pruned:
        return []
    if is_simulated:
        warnings = ["simulated for speed: pruned weights are multiplied as zeros; only the stored file is smaller"]
    else:
        warnings = ["of the pruned weights only blocks of 16 that are empty by chance are skipped, by native kernels"]
    warnings += emptied({name: layer.mask for name, layer in pruned.items()})
    dense = [name for name, layer in pruned.items() if layer.config()["storage"] == "dense"]
    if dense:
        warnings.append(f"{', '.join(dense)}: stored dense, because no sparse form is smaller at this sparsity")
    return warnings
