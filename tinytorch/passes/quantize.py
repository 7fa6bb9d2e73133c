"""Hold weights as 8- or 4-bit integers and multiply integers: see tinytorch.runtime.quantized for the arithmetic.

A weight scale is max|w| / 127 (8 bits) or / 7 (4 bits), over an output channel or the whole layer. Static activation
scales are max|x| / 127 of a layer's inputs while the unquantized network runs on `calibration_samples` images, drawn
from the training split under the seed. Batch norm stays in float32. Weights that were pruned stay zero and unstored.
With activations `none` the weights are multiplied out again to run, which is smaller but no faster (`simulated`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.arguments import choice, integer
from tinytorch.core.layer import Layer, Leaf
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.kernels.quantized import activation_scale
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.selection import select
from tinytorch.passes.settings import check_targets, from_params, to_params
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry
from tinytorch.runtime.quantized import (
    ACTIVATIONS,
    WEIGHTS,
    QuantizedConv2d,
    QuantizedLinear,
    QuantizedWeight,
    Scheme,
)
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear
from tinytorch.serialization import clone

__all__ = ["BITS", "NEEDS", "Settings", "apply"]

_KINDS = KINDS["quantize"]
Array: TypeAlias = NDArray[Any]

NEEDS = frozenset({"train"})
# A static scale stretched this much by an outlier leaves the median image 16 of 127 steps, fewer than 5 of 8 bits.
OUTLIER = 8
BITS = (8, 4, 32)  # 32 leaves a layer as it is: the baseline of a sweep over bits


@dataclass(frozen=True)
class Settings:
    """How weights and activations are held, and in which layers.

    `per_layer` maps names or globs to bits, weights or activations of their own. Raises ValueError for values out of
    range.
    """

    bits: int = 8
    weights: str = "per_channel"
    activations: str = "dynamic"
    calibration_samples: int = 256
    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()
    per_layer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allow_no_effect: bool = False

    def __post_init__(self) -> None:
        checks = {"bits": _checked_bits, "weights": _checked_weights, "activations": _checked_activations}
        for name, check in checks.items():
            check(getattr(self, name))
        integer("calibration_samples", self.calibration_samples, 1, 1_000_000)
        check_targets(self, checks)

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
    chosen = select(model, settings, _KINDS, "quantized again", "quantize once and use per_layer for mixed bits")
    wanted = {name: {**_defaults(settings), **overrides} for name, overrides in chosen.items()}
    schemes = {name: Scheme(**want) for name, want in wanted.items() if want["bits"] != 32}
    if not chosen and settings.bits != 32 and not settings.allow_no_effect:
        raise NoEffectError(f"quantize found no layer of the types {', '.join(_KINDS)} among those it was asked for")
    static = [name for name, scheme in schemes.items() if scheme.activations == "static"]
    seen = _calibrate(model, static, data.get("train"), settings.calibration_samples, seed) if static else {}
    scales = {name: _static_scale(inputs) for name, inputs in seen.items()}
    layers = dict(model.named_layers())
    changes = {name: _quantized(name, layers[name], scheme, scales.get(name)) for name, scheme in schemes.items()}
    result = clone(model.replaced(changes))
    matched = {name: {**want, **_storage(changes.get(name))} for name, want in wanted.items()}
    in_float = [name for name, scheme in schemes.items() if scheme.activations == "none"]
    is_simulated = bool(in_float) and len(in_float) == len(schemes)
    warnings = _warnings(in_float, seen)
    effect = measure_effect("quantize", to_params(settings), model, result, matched, is_simulated, warnings)
    return result, effect, None


def _quantized(name: str, layer: Any, scheme: Scheme, activation_scale: Array | None) -> Layer:
    """Return the quantized layer of a Linear, a Conv2d or a sparse one; raises TinyTorchError, naming it."""
    is_linear = isinstance(layer, Linear | SparseLinear)
    weight = np.ascontiguousarray(layer.weight.data.T) if is_linear else layer.weight.data  # outputs first
    stored = QuantizedWeight.of(weight, scheme, isinstance(layer, SparseLinear | SparseConv2d))
    bias = None if layer.bias is None else layer.bias.data
    quantized: Layer
    try:
        if is_linear:
            geometry = LinearGeometry.from_config(layer.config())
            quantized = QuantizedLinear(geometry, stored, bias, scheme, activation_scale)
        else:
            window = ConvGeometry.from_config(layer.config())
            quantized = QuantizedConv2d(window, stored, bias, scheme, activation_scale)
    except ValueError as error:
        raise TinyTorchError(f"{name} cannot be quantized: {error}") from error
    quantized.training = layer.training
    return quantized


class _Observed(Leaf):
    """A layer that remembers the largest magnitude of each image it was given."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.largest = np.zeros(0, np.float32)

    def forward(self, x: Tensor) -> Tensor:
        by_image = np.abs(x.data).reshape(len(x.data), -1).max(axis=1, initial=0)
        self.largest = np.concatenate([self.largest, by_image])
        return self.layer.forward(x)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)


def _calibrate(model: Network, names: list[str], train: Split | None, samples: int, seed: int) -> dict[str, Array]:
    """Return for each of these layers the largest magnitude of each image (n,) that the float network feeds it."""
    if train is None or not len(train):
        raise TinyTorchError(f"static activations of {', '.join(names)} need training images to calibrate with")
    observed = {name: _Observed(layer) for name, layer in model.named_layers() if name in names}
    order = np.random.default_rng(seed).permutation(len(train))[:samples]
    model.replaced(observed).predict(train.images(np.sort(order)))
    for name, layer in observed.items():
        if not np.isfinite(layer.largest).all():
            raise TinyTorchError(f"{name}: its inputs are NaN or infinite for some of the {len(order)} training images")
    return {name: layer.largest for name, layer in observed.items()}


def _static_scale(largest: Array) -> Array:
    return np.array([activation_scale(largest.reshape(1, -1))], np.float32)


def _warnings(in_float: list[str], seen: Mapping[str, Array]) -> list[str]:
    warnings = []
    if in_float:
        warnings.append(f"{', '.join(in_float)}: run in float32 (activations: none), so that only the file is smaller")
    for name, largest in seen.items():
        most, median = float(largest.max()), float(np.median(largest))
        if most > OUTLIER * median > 0:
            warnings.append(
                f"{name}: the largest of its calibration inputs, {most:.3g}, sets the scale, but that of the median "
                f"image is {median:.3g}, which leaves it {127 * median / most:.1f} of 127 steps; activations: dynamic "
                "has a scale for each image"
            )
    return warnings


def _storage(layer: Layer | None) -> dict[str, Any]:
    return {} if layer is None else {"storage": layer.config()["storage"]}


def _defaults(settings: Settings) -> dict[str, Any]:
    return {"bits": settings.bits, "weights": settings.weights, "activations": settings.activations}


def _checked_bits(value: Any) -> None:
    if isinstance(value, bool) or value not in BITS:
        raise ValueError(f"bits must be one of {', '.join(map(str, BITS))}, not {value!r}")


def _checked_weights(value: Any) -> None:
    choice("weights", value, WEIGHTS)


def _checked_activations(value: Any) -> None:
    choice("activations", value, ACTIVATIONS)
