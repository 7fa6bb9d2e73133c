"""Train with rounded weights and activations, then hold them as integers (quantization-aware training).

While it trains, the network computes with the very values that its integers will stand for, so that it learns to live
with them; `tinytorch.runtime.rounded` has the details. Weights and scales are those of `quantize`; static activation
scales are calibrated before training, and trained with. All weights are trained, those of layers that stay in float32
too; with `epochs` 0 it is `quantize`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tinytorch.core.fitting import FitSettings, fit
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.effect import Effect
from tinytorch.passes.integers import (
    IntegerSettings,
    calibrated,
    integer_effect,
    integer_layer,
    schemes,
    wanted_settings,
)
from tinytorch.passes.selection import quantized_names
from tinytorch.passes.settings import from_params
from tinytorch.runtime.rounded import Rounded
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

_KINDS = KINDS["qat"]
NEEDS = frozenset({"train", "validation"})


@dataclass(frozen=True)
class Settings(IntegerSettings):
    """How weights and activations are held, in which layers (see IntegerSettings), and how to train, with Adam.

    Raises ValueError for values out of range.
    """

    epochs: int = 5
    lr: float = 5e-4
    batch_size: int = 64
    schedule: str = "constant"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fit_settings()

    def fit_settings(self) -> FitSettings:
        """Return how to train as `fit` takes it."""
        return FitSettings(epochs=self.epochs, lr=self.lr, batch_size=self.batch_size, schedule=self.schedule)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "qat", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with quantized layers, the effect, and the history, a record for each epoch.

    `data` has the splits train and, if accuracy is to be recorded, validation. Raises TargetError for a glob that
    matches nothing, TinyTorchError for a network with layers that are quantized already, weights that are not finite,
    or training that diverges, and NoEffectError if no layer was chosen.
    """
    wanted = wanted_settings(model, settings, _KINDS)
    if quantized := quantized_names(model):
        raise TinyTorchError(f"qat cannot train the quantized layers {', '.join(quantized)}; quantize all in one step")
    made = schemes(settings, wanted, _KINDS)
    trained = clone(model)
    scales, warnings = calibrated(trained, made, settings, data.get("train"), seed)
    layers = dict(trained.named_layers())
    history = []
    if made and settings.epochs:
        rounded = trained.replaced({name: Rounded(layers[name], made[name], scales.get(name)) for name in made})
        history = fit(rounded, data["train"], data.get("validation"), settings.fit_settings(), seed)
    changes = {name: integer_layer(name, layers[name], scheme, scales.get(name)) for name, scheme in made.items()}
    result = clone(trained.replaced(changes))
    return result, integer_effect("qat", settings, (model, result), wanted, warnings), history
