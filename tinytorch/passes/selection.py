"""The layers of a network that a pass is asked to change, and the errors for those it cannot change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinytorch.core.layer import Layer
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes.targets import match
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear

__all__ = ["Targets", "check_finite", "quantized_names", "select"]


class _Late(NamedTuple):
    """What a layer was before a pass, and what that pass has done to it."""

    kind: str
    done: str


_LATE = {
    "BlockSparseLinear": _Late("Linear", "pruned in blocks"),
    "QuantizedConv2d": _Late("Conv2d", "quantized"),
    "QuantizedLinear": _Late("Linear", "quantized"),
    "SparseConv2d": _Late("Conv2d", "pruned"),
    "SparseLinear": _Late("Linear", "pruned"),
}


class Targets(Protocol):
    """The part of a pass's settings that chooses layers."""

    @property
    def targets(self) -> Sequence[str]:
        """Globs of names."""

    @property
    def except_(self) -> Sequence[str]:
        """Globs of names that are left out all the same."""

    @property
    def per_layer(self) -> Mapping[str, Mapping[str, Any]]:
        """Settings by glob."""


def select(
    model: Network, settings: Targets, kinds: Collection[str], done: str, advice: str
) -> dict[str, dict[str, Any]]:
    """Return the chosen layers of these `kinds` in execution order, each with its overrides.

    Raises TargetError for a glob that matches none, and TinyTorchError for a chosen layer that an earlier pass has made
    something else (already quantized, it cannot be `done`, "pruned"; `advice` says what to do) or that has NaN or
    infinite weights, naming it.
    """
    layers = dict(model.named_layers())
    late = {
        name: state
        for name, layer in layers.items()
        if (kind := type(layer).__name__) not in kinds and (state := _LATE.get(kind)) and state.kind in kinds
    }
    names = [name for name, layer in layers.items() if type(layer).__name__ in kinds or name in late]
    chosen = match(names, settings.targets, settings.except_, settings.per_layer)
    if too_late := [name for name in chosen if name in late]:
        raise TinyTorchError(
            f"{', '.join(too_late)}: already {late[too_late[0]].done}, cannot be {done}; {advice}, "
            f"or leave it out with except: [{', '.join(too_late)}]"
        )
    for name in chosen:
        check_finite(name, layers[name], done)
    return chosen


def quantized_names(model: Network) -> list[str]:
    """Return the names of the layers that hold integer weights."""
    return [name for name, layer in model.named_layers() if isinstance(layer, QuantizedLinear | QuantizedConv2d)]


def check_finite(name: str, layer: Layer, done: str) -> None:
    """Raise TinyTorchError, naming the layer, if a value it holds is NaN or infinite, so that it cannot be `done`.

    Running statistics count as well.
    """
    for array in (*[parameter.data for parameter in layer.parameters()], *layer.state().values()):
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            raise TinyTorchError(
                f"{name}: {bad} of {array.size} values are NaN or infinite, cannot be {done}; "
                "train the model again, with a lower lr"
            )
