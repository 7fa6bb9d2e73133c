"""Fold batch norms into the convolutions before them: fewer layers, the same outputs but for rounding.

With s = γ / √(var + eps) of the running statistics, the weights of an output channel become W · s and its bias
(b - mean) · s + β [Jacob et al. 2018, section 3.2]. What it was trained on is then part of the weights, so training
afterwards moves it otherwise than before. A pruned weight stays zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from tinytorch.core.layer import Layer
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError
from tinytorch.models.network import Network, Residual
from tinytorch.passes import KINDS
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.groups import steps
from tinytorch.passes.selection import check_finite, select
from tinytorch.passes.settings import check_targets, from_params, to_params
from tinytorch.runtime.quantized import QuantizedConv2d
from tinytorch.runtime.sparse import SparseConv2d
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

_KINDS = KINDS["fuse"]
NEEDS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Settings:
    """Which batch norms are folded, by their names. Raises ValueError for what is no list of names."""

    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()
    allow_no_effect: bool = False
    per_layer: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # there is nothing to set

    def __post_init__(self) -> None:
        check_targets(self, {})

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "fuse", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network without the batch norms that follow a convolution, and the effect.

    `data` and `seed` are not used. Others are left, with a warning that says why. Raises TargetError for a glob that
    matches nothing, TinyTorchError for values that are not finite, and NoEffectError if nothing could be folded.
    """
    chosen = select(model, settings, _KINDS, "fused", "put fuse first")
    before = {name: (owner, layer) for name, owner, layer in _predecessors("", model)}
    layers = dict(model.named_layers())
    changes: dict[str, Layer | None] = {}
    matched: dict[str, dict[str, Any]] = {}
    kept = {}
    for name in chosen:
        owner, layer = before.get(name, ("", None))
        if isinstance(layer, Conv2d | SparseConv2d):
            check_finite(owner, layer, "fused")
            changes |= {owner: _folded(layer, layers[name]), name: None}
            matched |= {owner: {"norm": name}, name: {"into": owner}}
        else:
            kept[name] = f"{name} stays: {_reason(owner, layer)}."
    if not changes and not settings.allow_no_effect:
        why = " ".join(kept.values()) or f"no layer of the types {', '.join(_KINDS)} was chosen."
        raise NoEffectError(f"fuse folded no batch norm: {why}")
    result = clone(model.replaced(changes))
    effect = measure_effect("fuse", to_params(settings), model, result, matched, warnings=[*kept.values()])
    return result, effect, None


def _predecessors(prefix: str, network: Network) -> Iterator[tuple[str, str, Layer]]:
    """Yield (name, name before, layer before) for every leaf that directly follows another in its sequence."""
    last: tuple[str, Layer] | None = None
    for name, layer, _, _ in steps(prefix, network):
        if isinstance(layer, Residual):
            yield from _predecessors(f"{name}.", layer.body)
            if layer.shortcut is not None:
                yield from _predecessors(f"{name}.shortcut.", layer.shortcut)
        elif last is not None:
            yield name, *last
        last = (name, layer)


def _reason(owner: str, layer: Layer | None) -> str:
    if layer is None:
        return "no layer comes before it"
    if isinstance(layer, QuantizedConv2d):
        return f"{owner} before it is quantized already; put fuse before quantize"
    return f"{owner} ({type(layer).__name__}) before it is no convolution"


def _folded(layer: Conv2d | SparseConv2d, norm: Any) -> Layer:
    """Return a copy of the convolution that computes what the two do, in float64 until the weights are stored."""
    assert isinstance(norm, BatchNorm2d)
    dense = layer.dense if isinstance(layer, SparseConv2d) else layer
    scale = norm.gamma.data / np.sqrt(norm.running_var + np.float64(norm.eps))
    bias = 0.0 if dense.bias is None else dense.bias.data
    state = {
        "weight": (dense.weight.data * scale[:, None, None, None]).astype(np.float32),
        "bias": (norm.beta.data + (bias - norm.running_mean) * scale).astype(np.float32),
    }
    convolution = Conv2d.from_state({**dense.config(), "bias": True}, state)
    folded = SparseConv2d(convolution, layer.mask, layer.storage) if isinstance(layer, SparseConv2d) else convolution
    folded.training = layer.training
    return folded
