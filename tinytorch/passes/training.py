"""What the passes that train a network as it is share: their settings, which networks they take, and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinytorch.core.fitting import FitSettings
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.selection import quantized_names
from tinytorch.passes.settings import to_params

__all__ = ["TrainingSettings", "check_trainable", "trained_effect"]


@dataclass(frozen=True)
class TrainingSettings(FitSettings):
    """How to train, as for the baseline but gentler; a pass that trains derives its Settings from this.

    Raises ValueError for values out of range.
    """

    epochs: int = 5
    lr: float = 5e-4
    momentum: float = 0.9


def check_trainable(technique: str, model: Network) -> None:
    """Raise TinyTorchError for a network with quantized layers, which have no gradient, naming them."""
    if quantized := quantized_names(model):
        names = ", ".join(quantized)
        raise TinyTorchError(f"{technique} cannot train the quantized layers {names}; put {technique} before quantize")


def trained_effect(technique: str, settings: TrainingSettings, before: Network, after: Network) -> Effect:
    """Compare two networks of the same layers; matched are those that were trained, none after 0 epochs."""
    trained: dict[str, dict[str, Any]] = {
        name: {}
        for name, layer in before.named_layers()
        if settings.epochs and type(layer).__name__ in KINDS[technique]
    }
    return measure_effect(technique, to_params(settings), before, after, trained)
