"""Remove whole neurons and channels, so that this layer and the next one shrink.

A unit's importance is the norm of the weights it is computed from (times |γ/σ| of the batch norms after it) times the
norm of the weights that read it, so that it does not change when a ReLU unit's input is scaled up and its output down.
Norms are l1 or l2 [l1 of the filter alone: Li et al., "Pruning Filters for Efficient ConvNets", 2017]; biases do not
count. Of n units, round(sparsity · n) with the least importance go (halves to even, the first of equals), never the
last one. With the scope `global` the same number goes from all chosen layers together, each layer's importances divided
by their mean; a layer with a sparsity of its own (`per_layer`) is pruned by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.groups import OUTPUT, Group, find_groups
from tinytorch.passes.narrow import narrowed
from tinytorch.passes.pruning import NORMS, NormSettings, Task
from tinytorch.passes.selection import check_finite
from tinytorch.passes.settings import from_params, to_params
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.runtime.sparse import SparseLinear
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

Array: TypeAlias = NDArray[Any]
Indices: TypeAlias = NDArray[np.intp]

NEEDS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Settings(NormSettings):
    """What share of the units goes, how they are ranked, and from which layers; see PruneSettings."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "structured_prune", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network without its least important units, and the effect; `data` and `seed` are not used.

    Layers whose units cannot be removed are left, with a warning that says why. Raises TargetError for a glob that
    matches nothing, TinyTorchError for a quantized layer, and NoEffectError if a positive sparsity removed nothing.
    """
    task = Task.of("structured_prune", model, settings, "put prune before quantize")
    groups, reasons = find_groups(model)
    pruned = [groups[name] for name in task.sparsity if name in groups]
    layers = dict(model.named_layers())
    for group in pruned:
        _check_group(group, layers)
    importance = {group.producer: _importance(group, layers, NORMS[settings.importance]) for group in pruned}
    removed = task.ranked(importance, _least, _least_of_all)
    result = _without(model, pruned, layers, removed)
    kept = {name: f"{name} keeps all its units: {reasons[name]}." for name in task.sparsity if name in reasons}
    why = " ".join(kept.values()) or "no layer chosen has enough units for this sparsity."
    task.check_effect(any(map(len, removed.values())), "unit", why)
    # That the output layer stays goes without saying, unless it was asked for by a setting of its own.
    warnings = [kept[name] for name in kept if task.sparsity[name] and (reasons[name] != OUTPUT or name in task.own)]
    matched = {name: _report(groups[name], task.sparsity[name], len(removed[name])) for name in importance}
    used_up = [name for name, report in matched.items() if _is_used_up(report, task.is_pooled(name))]
    warnings += [_last_unit(name, matched[name]) for name in used_up]
    effect = measure_effect("structured_prune", to_params(settings), model, result, matched, warnings=warnings)
    return result, effect, None


def _check_group(group: Group, layers: Mapping[str, Layer]) -> None:
    """Raise TinyTorchError unless the layers that change with the producer can, naming the one that cannot."""
    consumer = layers[group.consumer]
    if isinstance(consumer, QuantizedLinear | QuantizedConv2d):
        raise TinyTorchError(
            f"{group.consumer} reads the units of {group.producer} and is already quantized, so they cannot be "
            f"pruned; put prune before quantize, or leave {group.producer} out with except"
        )
    for name in (*group.norms, group.consumer):
        check_finite(name, layers[name], f"pruned together with {group.producer}")


def _importance(group: Group, layers: Mapping[str, Layer], order: int) -> Array:
    """Return the importance of each unit (n,), float64."""
    into = _weights(layers[group.producer])  # (n, what a unit is computed from)
    scale = np.ones(group.units)
    for name in group.norms:
        norm = layers[name]
        assert isinstance(norm, BatchNorm2d)
        scale *= np.abs(norm.gamma.data) / np.sqrt(norm.running_var + np.float64(norm.eps))
    readers = _weights(layers[group.consumer], axis=1)  # (features, what reads a feature)
    out_of = readers.reshape(group.units, -1)  # the features of a unit lie side by side
    importance: Array = np.linalg.norm(into, order, axis=1) * scale * np.linalg.norm(out_of, order, axis=1)
    return importance


def _weights(layer: Any, axis: int = 0) -> Array:
    """Return a layer's weights as rows, one for each output (axis 0) or input (axis 1)."""
    weight: Array = layer.weight.data.astype(np.float64)
    if isinstance(layer, Linear | SparseLinear | BlockSparseLinear):
        weight = weight.T
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


def _least(importance: Array, sparsity: float) -> Indices:
    """Return the units to remove, sorted: the least important ones of a layer, at least one stays."""
    count = min(round(sparsity * len(importance)), len(importance) - 1)
    return np.sort(np.argsort(importance, kind="stable")[:count])


def _least_of_all(importance: Mapping[str, Array], sparsity: float) -> dict[str, Indices]:
    """Return the units to remove from each layer, ranked together; at least one of each layer stays."""
    ranked = []
    for position, (name, values) in enumerate(importance.items()):
        order = np.argsort(values, kind="stable")[:-1]  # its most important unit stays
        mean = values.mean() or 1.0
        ranked += [(values[unit] / mean, position, name, int(unit)) for unit in order]
    count = round(sparsity * sum(map(len, importance.values())))
    gone = sorted(ranked)[:count]
    return {name: np.array(sorted(unit for _, _, where, unit in gone if where == name), np.intp) for name in importance}


def _without(
    model: Network, groups: list[Group], layers: Mapping[str, Layer], removed: Mapping[str, Indices]
) -> Network:
    """Return a copy of the network without the `removed` units of each producer."""
    outputs: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    for group in groups:
        kept = np.setdiff1d(np.arange(group.units), removed[group.producer])
        outputs |= dict.fromkeys((group.producer, *group.norms), kept)
        inputs[group.consumer] = (kept[:, None] * group.repeat + np.arange(group.repeat)).ravel()
    everything = slice(None)
    changes = {
        name: narrowed(layers[name], inputs.get(name, everything), outputs.get(name, everything))
        for name in outputs.keys() | inputs.keys()
    }
    return clone(model.replaced(changes))


def _is_used_up(report: Mapping[str, Any], is_pooled: bool) -> bool:
    """Say whether one unit is left that should have gone too, or that a ranking of all layers together left alone."""
    is_cut_short = report["sparsity_reached"] < report["sparsity"]
    return report["units_before"] > report["units_after"] == 1 and (is_pooled or is_cut_short)


def _last_unit(name: str, report: Mapping[str, Any]) -> str:
    return (
        f"{name} is left with one of its {report['units_before']} units, which a layer always keeps: "
        f"sparsity {report['sparsity_reached']:.3g}, {report['sparsity']:g} asked for."
    )


def _report(group: Group, sparsity: float, removed: int) -> dict[str, Any]:
    return {
        "sparsity": sparsity,
        "units_before": group.units,
        "units_after": group.units - removed,
        "sparsity_reached": removed / group.units,
    }
