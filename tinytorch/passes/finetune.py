"""Train a network some more, usually after pruning; pruned weights stay zero, because their layers see to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tinytorch.core.fitting import fit
from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.passes.effect import Effect
from tinytorch.passes.settings import from_params
from tinytorch.passes.training import TrainingSettings, check_trainable, trained_effect
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

NEEDS = frozenset({"train", "validation"})


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """How to train; see TrainingSettings."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "finetune", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the trained network, the effect (sizes stay as they were) and the history, a record for each epoch.

    `data` has the splits train and, if accuracy is to be recorded, validation. The same seed gives the same weights.
    Raises TinyTorchError for a network with quantized layers, which have no gradient.
    """
    check_trainable("finetune", model)
    result = clone(model)
    history = []
    if settings.epochs:
        history = fit(result, data["train"], data.get("validation"), settings, seed)
    return result, trained_effect("finetune", settings, model, result), history
