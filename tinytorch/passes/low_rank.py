"""Replace a layer by two smaller ones whose product is the best approximation of its weights of a lower rank.

The weights as a matrix with a row for each output are W = U · S · Vᵀ; the first r singular values give the nearest
matrix of rank r [Eckart & Young, 1936]. A Linear becomes the linear layers `inputs` (in to r) and `outputs` (r to out),
a Conv2d one of r channels with its own window and a 1x1 convolution after it [Denton et al., "Exploiting Linear
Structure Within Convolutional Networks", 2014]. Each takes its share √S, so that neither needs larger integers than the
other; the bias is added by the second. A layer that would not become smaller stays as it is.
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
from tinytorch.passes.selection import select
from tinytorch.passes.settings import check_targets, from_params, to_params
from tinytorch.serialization import clone

__all__ = ["NEEDS", "RANK_BY", "Settings", "apply"]

_KINDS = KINDS["low_rank"]
Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

NEEDS: frozenset[str] = frozenset()
RANK_BY = ("energy", "weights")


@dataclass(frozen=True)
class Settings:
    """What is kept of each layer, in (0, 1]: of the sum of its squared singular values (energy), or of its weights.

    With `energy` the rank is the least that keeps as much, with `weights` the largest whose two layers together have no
    more than this share of the weights. 1 keeps a layer as it is. `per_layer` maps names or globs to a share of their
    own. Raises ValueError for values out of range.
    """

    keep: float = 0.9
    rank_by: str = "energy"
    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    allow_no_effect: bool = False

    def __post_init__(self) -> None:
        _checked_keep(self.keep)
        choice("rank_by", self.rank_by, RANK_BY)
        check_targets(self, {"keep": _checked_keep})

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "low_rank", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with factorized layers, and the effect; `data` and `seed` are not used.

    Raises TargetError for a glob that matches nothing, TinyTorchError for a layer that is pruned or quantized already,
    and NoEffectError if no layer became smaller although one was to.
    """
    chosen = select(model, settings, _KINDS, "factorized", "put low_rank before prune and quantize")
    keep = {name: overrides.get("keep", settings.keep) for name, overrides in chosen.items()}
    shapes = {name: before for name, _, before, _ in model.named_shapes()}
    layers = dict(model.named_layers())
    changes: dict[str, Layer | None] = {}
    matched: dict[str, dict[str, Any]] = {}
    for name in chosen:
        factors = _Factors(layers[name])
        rank = factors.rank(keep[name], settings.rank_by)
        if rank is not None:
            changes[name] = factors.layers(rank, shapes[name])
        matched[name] = {"keep": keep[name], **factors.report(rank)}
    is_asked = any(share < 1 for share in keep.values()) if chosen else settings.keep < 1
    kept = [name for name in chosen if name not in changes and keep[name] < 1]
    if is_asked and not changes and not settings.allow_no_effect:
        why = f"none of {', '.join(kept)} would be smaller as two" if kept else "no layer was chosen"
        raise NoEffectError(f"low_rank with keep {settings.keep} factorized no layer: {why}")
    result = clone(model.replaced(changes))
    warnings = [f"{', '.join(kept)}: kept, because two layers that keep as much are not smaller"] if kept else []
    effect = measure_effect("low_rank", to_params(settings), model, result, matched, warnings=warnings)
    return result, effect, None


class _Factors:
    """The singular values and vectors of a layer's weights, and what becomes of the layer at a rank."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        weight = layer.weight.data.astype(np.float64)
        self.matrix = weight.T if isinstance(layer, Linear) else weight.reshape(len(weight), -1)  # (O, I)
        self.left, self.values, self.right = np.linalg.svd(self.matrix, full_matrices=False)

    def rank(self, keep: float, rank_by: str) -> int | None:
        """Return the rank that keeps this share, None where the layer would not become smaller."""
        outputs, inputs = self.matrix.shape
        if keep == 1:
            return None
        if rank_by == "energy":
            energy = np.cumsum(self.values**2)
            rank = int(np.searchsorted(energy, keep * energy[-1])) + 1
        else:
            rank = max(1, int(keep * self.matrix.size / (outputs + inputs)))
        return rank if rank * (outputs + inputs) < self.matrix.size else None

    def layers(self, rank: int, shape: Shape) -> Network:
        """Return the two layers, for samples of `shape`."""
        root = np.sqrt(self.values[:rank])
        first = (root[:, None] * self.right[:rank]).astype(np.float32)  # (r, I)
        second = (self.left[:, :rank] * root).astype(np.float32)  # (O, r)
        make = _linear_pair if isinstance(self.layer, Linear) else _convolution_pair
        pair = Network(make(self.layer, first, second), shape)
        for child in pair.children().values():
            child.training = self.layer.training
        pair.training = self.layer.training
        return pair

    def report(self, rank: int | None) -> dict[str, Any]:
        """Return the ranks before and after, and the share of the squared singular values that is kept."""
        total = float(np.sum(self.values**2)) or 1.0
        kept = total if rank is None else float(np.sum(self.values[:rank] ** 2))
        full = len(self.values)
        return {"rank_before": full, "rank_after": full if rank is None else rank, "energy_reached": kept / total}


def _linear_pair(layer: Linear, first: Array, second: Array) -> dict[str, Layer]:
    (rank, inputs), outputs = first.shape, len(second)
    bias = {} if layer.bias is None else {"bias": layer.bias.data}
    narrow = {**layer.config(), "in_features": inputs, "out_features": rank, "bias": False}
    wide = {**layer.config(), "in_features": rank, "out_features": outputs}
    return {
        "inputs": Linear.from_state(narrow, {"weight": np.ascontiguousarray(first.T)}),
        "outputs": Linear.from_state(wide, {"weight": np.ascontiguousarray(second.T), **bias}),
    }


def _convolution_pair(layer: Conv2d, first: Array, second: Array) -> dict[str, Layer]:
    rank, outputs = len(first), len(second)
    bias = {} if layer.bias is None else {"bias": layer.bias.data}
    narrow = {**layer.config(), "out_channels": rank, "bias": False}
    one = {"kernel_size": [1, 1], "stride": [1, 1], "padding": [0, 0]}
    wide = {**layer.config(), **one, "in_channels": rank, "out_channels": outputs}
    return {
        "inputs": Conv2d.from_state(narrow, {"weight": first.reshape(rank, *layer.weight.shape[1:])}),
        "outputs": Conv2d.from_state(wide, {"weight": second.reshape(outputs, rank, 1, 1), **bias}),
    }


def _checked_keep(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"keep must be above 0 and at most 1, not {value!r} (the share to keep)")
    return float(value)
