"""Linear and convolution layers whose weights are held and stored as 8- or 4-bit integers.

Weights are symmetric, with one scale per output channel or one per tensor. Activations are rounded to int8 on the way
in: with one scale a sample (`dynamic`), with a calibrated scale (`static`), or not at all (`none`: the weights are
multiplied out). NumPy has no integer BLAS, so the integers are multiplied exactly as float32 (kernels.quantized): the
results equal the int32 oracle bit for bit, whatever the batch. No gradient passes through these layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import JSON, Leaf
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError
from tinytorch.kernels import quantized as kernels
from tinytorch.kernels import reference
from tinytorch.runtime import storage as storages
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry

__all__ = ["ACTIVATIONS", "QuantizedConv2d", "QuantizedLinear", "QuantizedWeight", "Scheme", "WEIGHTS"]

Array: TypeAlias = NDArray[Any]

WEIGHTS = ("per_channel", "per_tensor")
ACTIVATIONS = ("dynamic", "static", "none")
_LARGEST_WINDOW = kernels.EXACT_LIMIT // 127**2  # 1,040; a sum is split by channel, not within a window


@dataclass(frozen=True)
class Scheme:
    """How a layer is quantized: the bits of a weight (8 or 4), what one weight scale covers, and the activations.

    Raises ValueError for anything else.
    """

    bits: int = 8
    weights: str = "per_channel"
    activations: str = "dynamic"

    def __post_init__(self) -> None:
        for name, valid in (("bits", tuple(kernels.QMAX)), ("weights", WEIGHTS), ("activations", ACTIVATIONS)):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in valid:
                raise ValueError(f"{name} must be one of {', '.join(map(str, valid))}, not {value!r}.")


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """Integer weights (O, ...) as int8, their float32 scales ((O,) or (1,)), and how a file stores them.

    A storage other than `dense` leaves out what `mask` (O, K) does not keep; in memory the values are always dense.
    """

    values: Array
    scale: Array
    storage: str
    mask: Array

    @classmethod
    def of(cls, weight: Array, scheme: Scheme, is_sparse: bool = False) -> Self:
        """Quantize float32 weights (O, ...); those of a pruned layer are stored sparse where that is smaller.

        Raises ValueError for NaN and infinity.
        """
        values, scale = kernels.quantize_weights(weight, scheme.bits, scheme.weights == "per_channel")
        mask = values.reshape(len(values), -1) != 0
        return cls(values, scale, storages.smallest(mask, scheme.bits) if is_sparse else "dense", mask)

    def arrays(self, bits: int) -> dict[str, Array]:
        """Return the arrays that are stored."""
        rows = self.values.reshape(self.mask.shape)
        return {**storages.store(rows, self.mask, self.storage, bits), "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], storage: str, scheme: Scheme, shape: tuple[int, ...]) -> Self:
        """Undo `arrays` for weights of `shape`; raises ModelFileError where they do not fit."""
        rows, mask = storages.restore(arrays, storage, scheme.bits, (shape[0], math.prod(shape[1:])))
        scale = _float_array(arrays, "scale", shape[0] if scheme.weights == "per_channel" else 1)
        return cls(rows.reshape(shape), scale, storage, mask)

    def dequantized(self) -> Array:
        """Return values times scales as float32 (O, ...)."""
        scaled: Array = self.values * self.scale.reshape(-1, *[1] * (self.values.ndim - 1))
        return scaled


class _Quantized(Leaf):
    """What both layers hold: sizes, weights, bias and scheme. `_execution` is a prepared copy, never stored."""

    geometry: LinearGeometry | ConvGeometry
    _execution: tuple[Any, ...] | None = None

    def __init__(
        self,
        geometry: LinearGeometry | ConvGeometry,
        weight: QuantizedWeight,
        bias: Array | None,
        scheme: Scheme,
        activation_scale: Array | None = None,
    ) -> None:
        if (activation_scale is not None) != (scheme.activations == "static"):
            raise ValueError("static activations need a calibrated activation_scale of shape (1,), the others none.")
        if weight.values.shape != geometry.weight_shape:
            raise ValueError(f"weights of shape {weight.values.shape} do not fit {geometry}.")
        window = math.prod(geometry.weight_shape[2:])
        if window > _LARGEST_WINDOW and scheme.activations != "none":
            raise ValueError(
                f"a window of {window} values is more than the {_LARGEST_WINDOW} whose integer products can be summed "
                "exactly in float32; use activations: none."
            )
        self.geometry, self.weight, self.bias, self.scheme = geometry, weight, bias, scheme
        self.activation_scale = activation_scale

    def parameter_count(self) -> int:
        """Return the number of weights and biases that the layer stands for; none of them is trainable."""
        return self.weight.values.size + (0 if self.bias is None else self.bias.size)

    def nonzero_count(self) -> int:
        """Return how many of them are not zero."""
        return sum(int(np.count_nonzero(a)) for a in (self.weight.values, self.bias) if a is not None)

    def working_set_bytes(self) -> int:
        """Return the bytes a forward pass reads: the float32 execution copy, scales and bias, not what is stored."""
        return 4 * self.weight.values.size + sum(a.nbytes for a in (self.weight.scale, self.bias) if a is not None)

    def config(self) -> dict[str, JSON]:
        """Return the sizes, whether there is a bias, the scheme and the storage."""
        return {
            **self.geometry.config(),
            "bias": self.bias is not None,
            "bits": self.scheme.bits,
            "weights": self.scheme.weights,
            "activations": self.scheme.activations,
            "storage": self.weight.storage,
        }

    def state(self) -> dict[str, Array]:
        """Return the stored arrays: integer weights, and in float32 their scales, bias and activation scale."""
        extras = {"bias": self.bias, "activation_scale": self.activation_scale}
        return {
            **self.weight.arrays(self.scheme.bits),
            **{name: array for name, array in extras.items() if array is not None},
        }

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample."""
        return self.geometry.output_shape(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the integer multiply-accumulates of one sample; zeros are multiplied too."""
        return self.geometry.macs(input_shape)


class QuantizedLinear(_Quantized):
    """y ≈ x·Wᵀ + b with integer weights W (O, I): (..., I) -> (..., O)."""

    geometry: LinearGeometry

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around these arrays."""
        geometry = LinearGeometry.from_config(config)
        return cls(geometry, *_stored_parts(config, state, geometry.weight_shape))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the last axis; raise ValueError if its length is not in_features."""
        data = x._data
        if not data.ndim or data.shape[-1] != self.geometry.in_features:
            raise ValueError(
                f"QuantizedLinear{self.geometry.weight_shape[::-1]} got an input of shape {x.shape}, but its last axis "
                f"must be {self.geometry.in_features}."
            )
        rows = data if data.ndim == 2 else data.reshape(-1, self.geometry.in_features)
        out = self._multiply(rows)
        return Tensor._wrap(out if data.ndim == 2 else out.reshape(*data.shape[:-1], -1))

    def _multiply(self, rows: Array) -> Array:
        parts, blocks, scale, bias = self._execution or self._prepare()
        out: Array
        if self.scheme.activations == "none":
            out = rows @ parts[0]
        elif self.activation_scale is not None:  # scale is already that of weights and activations together
            out = kernels.linear_exact(kernels.quantize_activations(rows, self.activation_scale, True), parts, blocks)
            out *= scale
        else:
            x_scale = kernels.activation_scale(rows)
            out = kernels.linear_exact(kernels.quantize_activations(rows, x_scale, False), parts, blocks)
            out *= x_scale * scale
        if bias is not None:
            out += bias
        return out

    def _prepare(self) -> tuple[Any, ...]:
        weight, blocks, scale = _executed(self)
        parts = [np.ascontiguousarray(weight[:, block].T) for block in blocks]  # (K_b, O)
        self._execution = parts, blocks, scale, self.bias
        return self._execution


class QuantizedConv2d(_Quantized):
    """Cross-correlation of (N, C, H, W) with integer weights (O, C, kh, kw), plus bias."""

    geometry: ConvGeometry

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around these arrays."""
        geometry = ConvGeometry.from_config(config)
        return cls(geometry, *_stored_parts(config, state, geometry.weight_shape))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a batch of images; raise ValueError for other channels or images smaller than the kernel."""
        if x.ndim != 4:
            raise ValueError(f"QuantizedConv2d needs a batch (N, C, H, W), but got shape {x.shape}.")
        self.geometry.output_shape(x.shape[1:])
        return Tensor._wrap(self._convolve(x._data))

    def _convolve(self, x: Array) -> Array:
        parts, blocks, scale, bias = self._execution or self._prepare()
        out: Array
        if self.scheme.activations == "none":
            out = self._sum(x, parts, blocks)
        elif self.activation_scale is not None:
            out = self._sum(kernels.quantize_activations(x, self.activation_scale, True), parts, blocks)
            out *= scale
        else:
            x_scale = kernels.activation_scale(x)
            out = self._sum(kernels.quantize_activations(x, x_scale, False), parts, blocks)
            out *= x_scale * scale
        if bias is not None:
            out += bias
        return out

    def _sum(self, x: Array, parts: list[Array], blocks: tuple[slice, ...]) -> Array:
        stride, padding = self.geometry.stride, self.geometry.padding
        if len(blocks) == 1:
            return reference.conv2d(x, parts[0], None, stride, padding)
        sums = [reference.conv2d(x[:, b], part, None, stride, padding) for part, b in zip(parts, blocks, strict=True)]
        total: Array = np.add.reduce(sums, axis=0, dtype=np.float64)  # the whole sum may exceed 2**24
        return total.astype(np.float32)

    def _prepare(self) -> tuple[Any, ...]:
        weight, blocks, scale = _executed(self)
        # Laid out as the kernel reads it, (kh, kw, C, O), and seen as (O, C, kh, kw): its reshape then copies nothing.
        parts = [np.ascontiguousarray(weight[:, block].transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1) for block in blocks]
        bias = None if self.bias is None else self.bias[:, None, None]
        self._execution = parts, blocks, scale[:, None, None], bias
        return self._execution


def _executed(layer: _Quantized) -> tuple[Array, tuple[slice, ...], Array]:
    """Return the weights as float32, the blocks to sum them in, and the scale of a sum, static x scale included."""
    weight = layer.weight
    if layer.scheme.activations == "none":
        return weight.dequantized(), (slice(0, weight.values.shape[1]),), weight.scale
    scale = weight.scale if layer.activation_scale is None else layer.activation_scale * weight.scale
    return weight.values.astype(np.float32), kernels.exact_blocks(weight.values), scale


def _stored_parts(
    config: Mapping[str, Any], state: Mapping[str, Array], shape: tuple[int, ...]
) -> tuple[QuantizedWeight, Array | None, Scheme, Array | None]:
    """Read weight, bias, scheme and activation scale; raise ModelFileError for what is missing, unfit or too much."""
    try:
        scheme = Scheme(config.get("bits", 0), config.get("weights", ""), config.get("activations", ""))
    except ValueError as error:
        raise ModelFileError(f"a quantized layer cannot be built from {dict(config)}: {error}") from error
    storage = config.get("storage", "dense")
    weight = QuantizedWeight.from_arrays(state, storage, scheme, shape)
    bias = _float_array(state, "bias", shape[0]) if config.get("bias", True) else None
    scale = _float_array(state, "activation_scale", 1) if scheme.activations == "static" else None
    expected = {*storages.ARRAYS[storage], "scale"}
    expected |= {name for name, part in (("bias", bias), ("activation_scale", scale)) if part is not None}
    if set(state) != expected:
        raise ModelFileError(f"a quantized layer needs the arrays {sorted(expected)}, but got {sorted(state)}.")
    return weight, bias, scheme, scale


def _float_array(state: Mapping[str, Array], name: str, length: int) -> Array:
    array = state.get(name)
    if array is None or array.dtype != np.float32 or array.shape != (length,):
        found = "none" if array is None else f"{array.dtype} {array.shape}"
        raise ModelFileError(f"{name} must be float32 of shape ({length},), not {found}.")
    return array
