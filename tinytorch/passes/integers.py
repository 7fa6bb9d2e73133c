"""What the passes that make integer layers share: their settings, the scheme of each layer, the layers, the report.

How the weights are rounded is the pass's own business: to the nearest (`quantize`), compensating errors (`gptq`), or
to the nearest after training with rounded weights (`qat`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.arguments import choice, integer
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes.calibration import CALIBRATIONS, Calibration, calibration_images, static_scales
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.selection import select
from tinytorch.passes.settings import check_targets, to_params
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry
from tinytorch.runtime.quantized import (
    ACTIVATIONS,
    GROUP_SIZES,
    WEIGHTS,
    QuantizedConv2d,
    QuantizedLinear,
    QuantizedWeight,
    Scheme,
)
from tinytorch.runtime.sparse import Sparse, SparseLinear

__all__ = [
    "BITS",
    "IntegerSettings",
    "calibrated",
    "integer_effect",
    "integer_layer",
    "outputs_first",
    "schemes",
    "wanted_settings",
]

Array: TypeAlias = NDArray[Any]

BITS = (8, 4, 32)  # 32 leaves a layer as it is: the baseline of a sweep over bits


@dataclass(frozen=True)
class IntegerSettings:
    """How weights and activations are held, and in which layers; each pass derives its Settings from this.

    `per_layer` maps names or globs to bits, weights, group_size or activations of their own. Raises ValueError for
    values out of range.
    """

    bits: int = 8
    weights: str = "per_channel"
    group_size: int = 64
    activations: str = "dynamic"
    calibration: str = "max"
    percentile: float = 99.99
    calibration_samples: int = 256
    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()
    per_layer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allow_no_effect: bool = False

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            check(getattr(self, name))
        choice("calibration", self.calibration, CALIBRATIONS)
        integer("calibration_samples", self.calibration_samples, 1, 1_000_000)
        if isinstance(self.percentile, bool) or not 50 <= self.percentile <= 100:
            raise ValueError(f"percentile must be from 50 to 100, not {self.percentile!r}")
        check_targets(self, _CHECKS)


def _checked_bits(value: Any) -> None:
    if isinstance(value, bool) or value not in BITS:
        raise ValueError(f"bits must be one of {', '.join(map(str, BITS))}, not {value!r}")


def _checked_group_size(value: Any) -> None:
    if isinstance(value, bool) or value not in GROUP_SIZES:
        raise ValueError(f"group_size must be one of {', '.join(map(str, GROUP_SIZES))}, not {value!r}")


def _checked_weights(value: Any) -> None:
    choice("weights", value, WEIGHTS)


def _checked_activations(value: Any) -> None:
    choice("activations", value, ACTIVATIONS)


# What a layer may have of its own, with the check of each.
_CHECKS: dict[str, Callable[[Any], None]] = {
    "bits": _checked_bits,
    "weights": _checked_weights,
    "group_size": _checked_group_size,
    "activations": _checked_activations,
}


def wanted_settings(model: Network, settings: IntegerSettings, kinds: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return bits, weights, activations and, where weights are per_group, group_size of each chosen layer.

    Raises what `select` raises: TargetError for a glob that matches nothing, TinyTorchError for a layer that is
    quantized already or has weights that are not finite.
    """
    chosen = select(model, settings, kinds, "quantized again", "quantize once and use per_layer for mixed bits")
    wanted = {}
    for name, overrides in chosen.items():
        want = {**{key: getattr(settings, key) for key in _CHECKS}, **overrides}
        if want["weights"] != "per_group":
            del want["group_size"]
        wanted[name] = want
    return wanted


def schemes(
    settings: IntegerSettings, wanted: Mapping[str, Mapping[str, Any]], kinds: Collection[str]
) -> dict[str, Scheme]:
    """Return the schemes of the layers that become integers; raises NoEffectError if no layer was chosen."""
    if not wanted and settings.bits != 32 and not settings.allow_no_effect:
        raise NoEffectError(f"quantize found no layer of the types {', '.join(kinds)} among those it was asked for")
    return {name: Scheme(**want) for name, want in wanted.items() if want["bits"] != 32}


def calibrated(
    model: Network, made: Mapping[str, Scheme], settings: IntegerSettings, train: Split | None, seed: int
) -> tuple[dict[str, Array], list[str]]:
    """Return the activation scales of the layers with static activations, and warnings about them.

    Raises TinyTorchError without training images, or naming a layer whose inputs are not finite.
    """
    static = [name for name, scheme in made.items() if scheme.activations == "static"]
    if not static:
        return {}, []
    purpose = f"static activations of {', '.join(static)}"
    images = calibration_images(train, settings.calibration_samples, seed, purpose)
    return static_scales(model, static, images, Calibration(settings.calibration, settings.percentile))


def outputs_first(layer: Any) -> Array:
    """Return the weights of a Linear, a Conv2d or a sparse one as (O, I, ...), contiguous."""
    weight: Array = layer.weight.data
    return np.ascontiguousarray(weight.T) if isinstance(layer, Linear | SparseLinear | BlockSparseLinear) else weight


def integer_layer(
    name: str,
    layer: Any,
    scheme: Scheme,
    activation_scale: Array | None,
    integers: tuple[Array, Array] | None = None,
) -> Layer:
    """Return the integer layer of a Linear, a Conv2d or a sparse one; raises TinyTorchError, naming it.

    `integers` are its weights (O, I, ...) and their scales; by default the weights are rounded to the nearest.
    """
    is_sparse = isinstance(layer, Sparse)
    if integers is None:
        stored = QuantizedWeight.of(outputs_first(layer), scheme, is_sparse)
    else:
        stored = QuantizedWeight.of_integers(*integers, scheme, is_sparse)
    bias = None if layer.bias is None else layer.bias.data
    made: Layer
    try:
        if isinstance(layer, Linear | SparseLinear | BlockSparseLinear):
            geometry = LinearGeometry.from_config(layer.config())
            made = QuantizedLinear(geometry, stored, bias, scheme, activation_scale)
        else:
            window = ConvGeometry.from_config(layer.config())
            made = QuantizedConv2d(window, stored, bias, scheme, activation_scale)
    except ValueError as error:
        raise TinyTorchError(f"{name} cannot be quantized: {error}") from error
    made.training = layer.training
    return made


def integer_effect(
    technique: str,
    settings: IntegerSettings,
    networks: tuple[Network, Network],
    wanted: Mapping[str, Mapping[str, Any]],
    warnings: Sequence[str],
) -> Effect:
    """Compare the networks before and after; layers that are all multiplied out to run gain no speed (`simulated`)."""
    before, after = networks
    layers = dict(after.named_layers())
    matched = {name: {**want, **_storage(layers[name])} for name, want in wanted.items()}
    integers = {name: layer for name in wanted if isinstance(layer := layers[name], QuantizedLinear | QuantizedConv2d)}
    in_float = [name for name, layer in integers.items() if _is_multiplied_out(layer)]
    in_numpy = [name for name, layer in integers.items() if _has_no_kernel(layer)]
    found = []
    if in_float:
        found.append(f"{', '.join(in_float)}: multiplied out to run in float32, so that only the file is smaller")
    if in_numpy:
        found.append(
            f"{', '.join(in_numpy)}: run in NumPy, which is slow; native kernels have scales by group for linear "
            "layers with 4 bits and activations dynamic or none"
        )
    is_simulated = bool(in_float) and len(in_float) == len(integers)
    return measure_effect(technique, to_params(settings), before, after, matched, is_simulated, [*found, *warnings])


def _is_grouped(layer: QuantizedLinear | QuantizedConv2d) -> bool:
    return layer.weight.scale.ndim == 2 and layer.weight.scale.shape[1] > 1


def _is_multiplied_out(layer: QuantizedLinear | QuantizedConv2d) -> bool:
    """Say whether float32 weights are read to run: native kernels, too, read the integers of linear layers only."""
    if layer.scheme.activations != "none":
        return False
    return isinstance(layer, QuantizedConv2d) or (layer.scheme.bits == 8 and _is_grouped(layer))


def _has_no_kernel(layer: QuantizedLinear | QuantizedConv2d) -> bool:
    if layer.scheme.activations == "none" or not _is_grouped(layer):
        return False
    return isinstance(layer, QuantizedConv2d) or (layer.scheme.bits, layer.scheme.activations) != (4, "dynamic")


def _storage(layer: Layer) -> dict[str, Any]:
    return {"storage": layer.config()["storage"]} if isinstance(layer, QuantizedLinear | QuantizedConv2d) else {}
