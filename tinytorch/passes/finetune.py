"""Train a network some more, usually after pruning; pruned weights stay zero, because their layers see to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tinytorch.core.training import fit
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.selection import quantized_names
from tinytorch.passes.settings import TrainingSettings, from_params, to_params
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

_KINDS = KINDS["finetune"]
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
    if quantized := quantized_names(model):
        raise TinyTorchError(
            f"finetune cannot train the quantized layers {', '.join(quantized)}; put finetune before quantize"
        )
    result = clone(model)
    history = []
    if settings.epochs:
        history = fit(result, data["train"], data.get("validation"), settings.fit_settings(), seed)
    trained: dict[str, dict[str, Any]] = {
        name: {} for name, layer in model.named_layers() if settings.epochs and type(layer).__name__ in _KINDS
    }
    effect = measure_effect("finetune", to_params(settings), model, result, trained)
    return result, effect, history
