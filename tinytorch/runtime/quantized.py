"""Linear and convolution layers whose weights are held and stored as 8- or 4-bit integers.

Weights are symmetric, with one scale per tensor, per output, or per output and group of inputs. Activations are rounded
to int8 on the way in: with one scale a sample (`dynamic`), with a calibrated scale (`static`), or not at all (`none`,
weight-only: the weights are multiplied out). NumPy has no integer BLAS, so the integers are multiplied exactly as
float32 (kernels.quantized): the results equal the int32 oracle bit for bit, whatever the batch. No gradient passes
through these layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import JSON, Leaf
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError
from tinytorch.kernels import quantized as kernels
from tinytorch.kernels import reference
from tinytorch.runtime import storage as storages
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry

__all__ = ["ACTIVATIONS", "GROUP_SIZES", "QuantizedConv2d", "QuantizedLinear", "QuantizedWeight", "Scheme", "WEIGHTS"]

Array: TypeAlias = NDArray[Any]

WEIGHTS = ("per_channel", "per_tensor", "per_group")
GROUP_SIZES = (32, 64, 128)
ACTIVATIONS = ("dynamic", "static", "none")
_LARGEST_WINDOW = kernels.EXACT_LIMIT // 127**2  # 1,040; a sum is split by channel, not within a window


@dataclass(frozen=True)
class Scheme:
    """How a layer is quantized: the bits of a weight (8 or 4), what one weight scale covers, and the activations.

    `group_size` is how many inputs (features or channels) share a scale where `weights` is per_group, else None.
    Raises ValueError for anything else.
    """

    bits: int = 8
    weights: str = "per_channel"
    activations: str = "dynamic"
    group_size: int | None = None

    def __post_init__(self) -> None:
        for name, valid in (("bits", tuple(kernels.QMAX)), ("weights", WEIGHTS), ("activations", ACTIVATIONS)):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in valid:
                raise ValueError(f"{name} must be one of {', '.join(map(str, valid))}, not {value!r}.")
        sizes = GROUP_SIZES if self.weights == "per_group" else (None,)
        if isinstance(self.group_size, bool) or self.group_size not in sizes:
            wanted = ", ".join(map(str, sizes))
            raise ValueError(f"group_size must be one of {wanted} with {self.weights}, not {self.group_size!r}.")


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """Integer weights (O, I, ...) as int8, their float32 scales, and how a file stores them.

    Scales are (1,), (O,) or, where each `group` inputs of an output have their own, (O, groups). A storage other than
    `dense` leaves out what `mask` (O, K) does not keep; in memory the values are always dense.
    """

    values: Array
    scale: Array
    storage: str
    mask: Array
    group: int | None = None

    @classmethod
    def of(cls, weight: Array, scheme: Scheme, is_sparse: bool = False) -> Self:
        """Quantize float32 weights (O, ...); those of a pruned layer are stored sparse where that is smaller.

        Raises ValueError for NaN and infinity.
        """
        if scheme.group_size is None:
            values, scale = kernels.quantize_weights(weight, scheme.bits, scheme.weights == "per_channel")
        else:
            values, scale = kernels.quantize_groups(weight, scheme.bits, scheme.group_size)
        return cls.of_integers(values, scale, scheme, is_sparse)

    @classmethod
    def of_integers(cls, values: Array, scale: Array, scheme: Scheme, is_sparse: bool = False) -> Self:
        """Hold weights that are integers (O, ...) already; see `of`."""
        mask = values.reshape(len(values), -1) != 0
        storage = storages.smallest(mask, scheme.bits) if is_sparse else "dense"
        return cls(values, scale, storage, mask, scheme.group_size)

    def arrays(self, bits: int) -> dict[str, Array]:
        """Return the arrays that are stored."""
        rows = self.values.reshape(self.mask.shape)
        return {**storages.store(rows, self.mask, self.storage, bits), "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], storage: str, scheme: Scheme, shape: tuple[int, ...]) -> Self:
        """Undo `arrays` for weights of `shape`; raises ModelFileError where they do not fit."""
        rows, mask = storages.restore(arrays, storage, scheme.bits, (shape[0], math.prod(shape[1:])))
        outputs, inputs = shape[:2]
        sizes = {"per_channel": (outputs,), "per_tensor": (1,)}
        groups = (outputs, len(kernels.group_slices(inputs, scheme.group_size)))
        scale = _float_array(arrays, "scale", sizes.get(scheme.weights, groups))
        return cls(rows.reshape(shape), scale, storage, mask, scheme.group_size)

    def dequantized(self) -> Array:
        """Return values times scales as float32 (O, ...)."""
        scaled: Array = self.values * kernels.by_weight(self.scale, self.values.shape, self.group)
        return scaled


class _Part(NamedTuple):
    """What is summed before it is scaled: a range of inputs, their weights by exact block, and the scale of the sum."""

    inputs: slice
    blocks: tuple[slice, ...]
    weights: list[Array]
    scale: Array


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
            **({} if self.scheme.group_size is None else {"group_size": self.scheme.group_size}),
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
        parts, bias = self._execution or self._prepare()
        if self.scheme.activations == "none":
            out: Array = rows @ parts[0].weights[0]
        else:
            q, x_scale = _rounded(self, rows)
            out = _added(
                _scaled(kernels.linear_exact(_of(q, parts, part), part.weights, part.blocks), x_scale, part.scale)
                for part in parts
            )
        if bias is not None:
            out += bias
        return out

    def _prepare(self) -> tuple[Any, ...]:
        def laid_out(weight: Array) -> Array:
            return np.ascontiguousarray(weight.T)  # (K_b, O)

        self._execution = _parts(self, laid_out), self.bias
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
        parts, bias = self._execution or self._prepare()
        if self.scheme.activations == "none":
            out = self._sum(x, parts[0])
        else:
            q, x_scale = _rounded(self, x)
            out = _added(_scaled(self._sum(_of(q, parts, part), part), x_scale, part.scale) for part in parts)
        if bias is not None:
            out += bias
        return out

    def _sum(self, x: Array, part: _Part) -> Array:
        stride, padding = self.geometry.stride, self.geometry.padding
        if len(part.blocks) == 1:
            return reference.conv2d(x, part.weights[0], None, stride, padding)
        pairs = zip(part.weights, part.blocks, strict=True)
        sums = [reference.conv2d(x[:, block], weight, None, stride, padding) for weight, block in pairs]
        total: Array = np.add.reduce(sums, axis=0, dtype=np.float64)  # the whole sum may exceed 2**24
        return total.astype(np.float32)

    def _prepare(self) -> tuple[Any, ...]:
        def laid_out(weight: Array) -> Array:
            # As the kernel reads it, (kh, kw, C, O), and seen as (O, C, kh, kw): its reshape then copies nothing.
            return np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)

        parts = [part._replace(scale=part.scale[:, None, None]) for part in _parts(self, laid_out)]
        self._execution = parts, None if self.bias is None else self.bias[:, None, None]
        return self._execution


def _parts(layer: _Quantized, laid_out: Callable[[Array], Array]) -> list[_Part]:
    """Return what is summed separately, one part a group of inputs, with float32 weights; static x scales included."""
    weight, scale = layer.weight, layer.weight.scale
    inputs = weight.values.shape[1]
    if layer.scheme.activations == "none":
        whole = slice(0, inputs)
        return [_Part(whole, (whole,), [laid_out(weight.dequantized())], scale.reshape(-1)[:1])]
    if layer.activation_scale is not None:
        scale = layer.activation_scale * scale
    parts = []
    for group, of_group in zip(
        kernels.group_slices(inputs, weight.group), scale[None] if weight.group is None else scale.T, strict=True
    ):
        integers = weight.values[:, group]
        blocks = kernels.exact_blocks(integers)
        floats = [laid_out(integers[:, block].astype(np.float32)) for block in blocks]
        parts.append(_Part(group, blocks, floats, of_group))
    return parts


def _of(x: Array, parts: list[_Part], part: _Part) -> Array:
    return x if len(parts) == 1 else x[:, part.inputs]


def _rounded(layer: _Quantized, x: Array) -> tuple[Array, Array | float | None]:
    """Return the integers of x, and their scale unless it is static: then it is in that of each part already."""
    if layer.activation_scale is not None:
        return kernels.quantize_activations(x, layer.activation_scale, True), None
    scale = kernels.activation_scale(x)
    return kernels.quantize_activations(x, scale, False), scale


def _scaled(sums: Array, x_scale: Array | float | None, scale: Array) -> Array:
    sums *= scale if x_scale is None else x_scale * scale
    return sums


def _added(sums: Iterable[Array]) -> Array:
    """Add float32 sums one after the other, which is the order of the oracle."""
    return reduce(np.add, sums)


def _stored_parts(
    config: Mapping[str, Any], state: Mapping[str, Array], shape: tuple[int, ...]
) -> tuple[QuantizedWeight, Array | None, Scheme, Array | None]:
    """Read weight, bias, scheme and activation scale; raise ModelFileError for what is missing, unfit or too much."""
    try:
        scheme = Scheme(
            config.get("bits", 0), config.get("weights", ""), config.get("activations", ""), config.get("group_size")
        )
    except ValueError as error:
        raise ModelFileError(f"a quantized layer cannot be built from {dict(config)}: {error}") from error
    storage = config.get("storage", "dense")
    weight = QuantizedWeight.from_arrays(state, storage, scheme, shape)
    bias = _float_array(state, "bias", shape[:1]) if config.get("bias", True) else None
    scale = _float_array(state, "activation_scale", (1,)) if scheme.activations == "static" else None
    expected = {*storages.ARRAYS[storage], "scale"}
    expected |= {name for name, part in (("bias", bias), ("activation_scale", scale)) if part is not None}
    if set(state) != expected:
        raise ModelFileError(f"a quantized layer needs the arrays {sorted(expected)}, but got {sorted(state)}.")
    return weight, bias, scheme, scale


def _float_array(state: Mapping[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    array = state.get(name)
    if array is None or array.dtype != np.float32 or array.shape != shape:
        found = "none" if array is None else f"{array.dtype} {array.shape}"
        raise ModelFileError(f"{name} must be float32 of shape {shape}, not {found}.")
    return array
