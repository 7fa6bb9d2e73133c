"""Hold weights as 8- or 4-bit integers, each rounded to the nearest, and multiply integers.

See tinytorch.runtime.quantized for the arithmetic. A weight scale is max|w| / 127 (8 bits) or / 7 (4 bits), over the
whole layer, an output channel, or a group of an output's inputs. Static activation scales come from a layer's inputs
while the unquantized network runs on `calibration_samples` images, drawn from the training split under the seed: the
largest magnitude, a percentile of them, or the end of the range that gives the least squared error. Batch norm stays in
float32. Weights that were pruned stay zero and unstored. With activations `none` (weight-only) native kernels read the
integers of linear layers; convolutions, and 8 bits with scales by group, are multiplied out to run: smaller but no
faster (`simulated`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tinytorch.data.split import Split
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
from tinytorch.passes.settings import from_params
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

_KINDS = KINDS["quantize"]
NEEDS = frozenset({"train"})


@dataclass(frozen=True)
class Settings(IntegerSettings):
    """How weights and activations are held, and in which layers; see IntegerSettings."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "quantize", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with quantized layers, and the effect; `data["train"]` calibrates static activations.

    Raises TargetError for a glob that matches nothing, TinyTorchError for a layer that is quantized already, has
    weights that are not finite, or cannot be calibrated, and NoEffectError if no layer was chosen.
    """
    wanted = wanted_settings(model, settings, _KINDS)
    made = schemes(settings, wanted, _KINDS)
    scales, warnings = calibrated(model, made, settings, data.get("train"), seed)
    layers = dict(model.named_layers())
    changes = {name: integer_layer(name, layers[name], scheme, scales.get(name)) for name, scheme in made.items()}
    result = clone(model.replaced(changes))
    return result, integer_effect("quantize", settings, (model, result), wanted, warnings), None
