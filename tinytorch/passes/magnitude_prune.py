"""Set the weights of least magnitude to zero and store them sparse: smaller files, no faster run (`simulated`).

Of n weights, round(sparsity · n) of least |w| go, ties in storage order; weights that an earlier pruning removed count
among them. With the scope `global` all chosen layers are ranked together by |w| divided by the layer's root mean square
(so that a layer is not emptied because its weights are small throughout); a layer with a sparsity of its own
(`per_layer`) is pruned by itself. Each layer is stored as a bit mask, as CSR or dense, whichever is smallest. [Han et
al., "Learning both Weights and Connections for Efficient Neural Networks", 2015]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.arguments import choice
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.ranking import SCOPES, largest, largest_of_all
from tinytorch.passes.selection import select
from tinytorch.passes.settings import check_targets, checked_sparsity, from_params, to_params
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

_KINDS = KINDS["magnitude_prune"]
Array: TypeAlias = NDArray[Any]

NEEDS: frozenset[str] = frozenset()
_NONE = "no layer was chosen"


@dataclass(frozen=True)
class Settings:
    """What share of the weights goes, ranked within a layer or across all, and from which layers.

    `per_layer` maps names or globs to a sparsity of their own. Raises ValueError for values out of range.
    """

    sparsity: float = 0.5
    scope: str = "layer"
    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    allow_no_effect: bool = False

    def __post_init__(self) -> None:
        checked_sparsity(self.sparsity)
        choice("scope", self.scope, SCOPES)
        check_targets(self, {"sparsity": checked_sparsity})

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
    chosen = select(model, settings, _KINDS, "pruned", "put prune before quantize, magnitude before block")
    layers = dict(model.named_layers())
    sparsity = {name: overrides.get("sparsity", settings.sparsity) for name, overrides in chosen.items()}
    pooled = [name for name in chosen if settings.scope == "global" and "sparsity" not in chosen[name]]
    masks = {name: largest(_magnitude(layers[name]), sparsity[name]) for name in chosen if name not in pooled}
    masks |= largest_of_all({name: _magnitude(layers[name]) for name in pooled}, settings.sparsity)
    pruned = {name: _sparse(layers[name], masks[name]) for name in chosen if _removes(layers[name], masks[name])}
    is_asked = any(sparsity.values()) if chosen else settings.sparsity > 0
    if is_asked and not pruned and not settings.allow_no_effect:
        raise NoEffectError(
            f"magnitude_prune with sparsity {settings.sparsity} removed no weight: "
            + ("no layer chosen has enough weights for it, or they are pruned this far already" if chosen else _NONE)
        )
    result = clone(model.replaced(pruned))
    matched = {name: _report(sparsity[name], layer) for name, layer in result.named_layers() if name in chosen}
    effect = measure_effect(
        "magnitude_prune", to_params(settings), model, result, matched, bool(pruned), _warnings(pruned)
    )
    return result, effect, None


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


def _warnings(pruned: Mapping[str, Any]) -> list[str]:
    if not pruned:
        return []
    warnings = ["simulated for speed: pruned weights are multiplied as zeros; only the stored file is smaller"]
    if emptied := [name for name, layer in pruned.items() if not layer.mask.any()]:
        warnings.append(f"{', '.join(emptied)}: every weight was removed, so the outputs do not depend on the inputs")
    dense = [name for name, layer in pruned.items() if layer.config()["storage"] == "dense"]
    if dense:
        warnings.append(f"{', '.join(dense)}: stored dense, because no sparse form is smaller at this sparsity")
    return warnings
