"""Hold weights as integers whose rounding errors cancel on training images, and multiply integers (GPTQ).

Layers are rounded one after the other, each for the inputs that the layers rounded before it give it: the network runs
on `calibration_samples` training images. The algorithm is in tinytorch.kernels.compensation, all else as in `quantize`.
[Frantar et al., 2022]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.kernels.compensation import compensated_weights
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.calibration import Observer, calibration_images, observe
from tinytorch.passes.effect import Effect
from tinytorch.passes.integers import (
    IntegerSettings,
    calibrated,
    integer_effect,
    integer_layer,
    outputs_first,
    schemes,
    wanted_settings,
)
from tinytorch.passes.settings import from_params
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.geometry import ConvGeometry
from tinytorch.runtime.quantized import Scheme
from tinytorch.runtime.sparse import Sparse, SparseConv2d, SparseLinear
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

Array: TypeAlias = NDArray[Any]

_KINDS = KINDS["gptq"]
NEEDS = frozenset({"train"})
_MOST_VALUES = 1 << 23  # of the windows of a convolution's inputs that are laid out at once: 32 MiB


@dataclass(frozen=True)
class Settings(IntegerSettings):
    """How weights and activations are held, and in which layers; see IntegerSettings."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "gptq", params)


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with quantized layers, and the effect; `data["train"]` says for which inputs.

    Raises TargetError for a glob that matches nothing, TinyTorchError for a layer that is quantized already, has
    weights or inputs that are not finite, or without training images, and NoEffectError if no layer was chosen.
    """
    wanted = wanted_settings(model, settings, _KINDS)
    made = schemes(settings, wanted, _KINDS)
    scales, warnings = calibrated(model, made, settings, data.get("train"), seed)
    result = model
    if made:
        images = calibration_images(data.get("train"), settings.calibration_samples, seed, "compensated weights")
    for name, scheme in made.items():
        layer = dict(model.named_layers())[name]
        integers = _compensated(name, layer, scheme, _gram(result, name, layer, images))
        result = result.replaced({name: integer_layer(name, layer, scheme, scales.get(name), integers)})
    result = clone(result)
    return result, integer_effect("gptq", settings, (model, result), wanted, warnings), None


def _compensated(name: str, layer: Any, scheme: Scheme, gram: Array) -> tuple[Array, Array]:
    kept = None
    if isinstance(layer, Sparse):
        mask = layer.mask if isinstance(layer, SparseConv2d) else layer.mask.T
        kept = mask.reshape(len(mask), -1)
    is_each = scheme.weights == "per_channel"
    try:
        return compensated_weights(outputs_first(layer), gram, scheme.bits, is_each, scheme.group_size, kept)
    except ValueError as error:
        raise TinyTorchError(f"{name} cannot be quantized: {error}") from error


class _Gram(Observer):
    """Sum up X^T X (K, K) of the inputs X (n, K) that each output of a layer is made from.

    Products are float32, which is precise enough beside the damping, and their sums float64.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.gram = np.zeros(())

    def see(self, x: Array) -> None:
        at_once = max(1, _MOST_VALUES // _rows(self.layer, x[:1]).size)
        for start in range(0, len(x), at_once):
            rows = _rows(self.layer, x[start : start + at_once])
            with np.errstate(over="ignore"):  # which is reported as inputs that are not finite
                self.gram = self.gram + (rows.T @ rows).astype(np.float64)


def _gram(model: Network, name: str, layer: Layer, images: Array) -> Array:
    observer = _Gram(layer)
    observe(model, {name: observer}, images)
    return observer.gram


def _rows(layer: Layer, x: Array) -> Array:
    """Return the inputs (n, K): vectors of the last axis, or windows of an image in the order of a kernel's weights."""
    if isinstance(layer, Linear | SparseLinear | BlockSparseLinear):
        return x.reshape(-1, x.shape[-1])
    assert isinstance(layer, Conv2d | SparseConv2d)
    geometry = ConvGeometry.from_config(layer.config())
    (sh, sw), (ph, pw) = geometry.stride, geometry.padding
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, geometry.kernel, axis=(2, 3))[:, :, ::sh, ::sw]
    rows: Array = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, int(np.prod(geometry.weight_shape[1:])))
    return rows
