"""The course's quantization: tensors, linear layers and whole models as real int8 (or packed int4) bytes.

Layers compute with integers through tinytorch.runtime.quantized; nothing here keeps float32 and calls it int8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.core.function import Array
from tinytorch.core.layer import JSON, Layer
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import MB_TO_BYTES, Tensor
from tinytorch.errors import NoEffectError
from tinytorch.kernels.quantized import activation_scale
from tinytorch.perf.structure import held_bytes, observe, parameters_of, slots
from tinytorch.runtime import quantized as runtime
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = [
    "Int8Tensor",
    "QuantizedLinear",
    "Quantizer",
    "dequantize_int8",
    "quantize_int8",
    "quantize_model",
    "verify_quantization_works",
]

INT8_MIN, INT8_MAX = -128, 127


class Int8Tensor(Tensor):
    """A tensor that holds one byte for each value; arithmetic on it gives ordinary float32 tensors."""

    def __init__(self, integers: Array) -> None:
        self._integers = np.asarray(integers, np.int8)

    @property
    def _data(self) -> Array:  # type: ignore[override]
        # Ops read this: computing with the int8 values themselves would overflow.
        return self._integers.astype(np.float32)

    @property
    def data(self) -> Array:
        """The int8 values; assigning takes whole numbers from -128 to 127."""
        return self._integers

    @data.setter
    def data(self, value: Any) -> None:
        self._integers = np.asarray(value, np.int8)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Int8."""
        return self._integers.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._integers.shape

    def numpy(self) -> Array:
        """Return the int8 values."""
        return self._integers

    def memory_footprint(self) -> int:
        """Return the bytes held: one for each value."""
        return self._integers.nbytes

    @classmethod
    def _wrap(cls, array: Array) -> Any:
        return Tensor._wrap(array)


def quantize_int8(tensor: Tensor) -> tuple[Int8Tensor, float, int]:
    """Return (q, scale, zero_point) with value ≈ (q - zero_point)·scale and q in [-128, 127], one scale for all.

    The range always contains 0, which is represented exactly; the error is at most half a scale. Raises ValueError for
    an empty tensor, NaN or infinity. [Jacob et al., 2018, section 2.1]
    """
    values = tensor.data.astype(np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"quantize_int8 needs at least one value and only finite ones, but got a tensor {tensor.shape}."
        )
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = float((high - low) / (INT8_MAX - INT8_MIN)) or 1.0
    zero_point = int(np.clip(round(INT8_MIN - low / scale), INT8_MIN, INT8_MAX))
    q = np.clip(np.rint(values / scale) + zero_point, INT8_MIN, INT8_MAX)
    return Int8Tensor(q.astype(np.int8)), scale, zero_point


def dequantize_int8(q_tensor: Tensor, scale: float, zero_point: int) -> Tensor:
    """Return (q - zero_point)·scale as a float32 tensor."""
    return Tensor((q_tensor.data.astype(np.float32) - np.float32(zero_point)) * np.float32(scale))


class QuantizedLinear(Layer):
    """A Linear with weights of 8 or 4 bits and one scale for all of them; its bias stays float32.

    `q_weight` (in, out), like the Linear's, shows the integers; `weight_scale` and `weight_zero_point` (always 0:
    symmetric) give their values back; `q_bias` is the bias or None. Inputs are rounded to int8 with a scale of their
    own for each row, until `calibrate` fixes one scale for all. The zeros of a sparse layer stay unstored.
    """

    def __init__(self, linear_layer: Linear | SparseLinear, bits: int = 8) -> None:
        self._original_bytes = held_bytes(linear_layer)
        scheme = runtime.Scheme(bits, "per_tensor", "dynamic")
        rows = np.ascontiguousarray(linear_layer.weight.data.T)
        bias = None if linear_layer.bias is None else linear_layer.bias.data.copy()
        geometry = LinearGeometry.from_config(linear_layer.config())
        weight = runtime.QuantizedWeight.of(rows, scheme, isinstance(linear_layer, SparseLinear))
        self._layer = runtime.QuantizedLinear(geometry, weight, bias, scheme)
        self.q_weight = Int8Tensor(self._layer.weight.values.T)
        self.weight_scale = float(self._layer.weight.scale[0])
        self.weight_zero_point = 0
        self.q_bias = None if bias is None else Tensor._wrap(bias)
        self.training = linear_layer.training

    def calibrate(self, sample_inputs: Sequence[Tensor]) -> None:
        """Fix the activation scale to max|x|/127 over these inputs; raises ValueError if there are none."""
        if not sample_inputs:
            raise ValueError("calibrate() needs at least one input tensor to see the range of the activations.")
        largest = np.float32(max(float(np.abs(x.data).max(initial=0)) for x in sample_inputs))
        layer = self._layer
        scheme = runtime.Scheme(layer.scheme.bits, "per_tensor", "static")
        scale = np.full(1, activation_scale(np.array([[largest]], np.float32)), np.float32)
        self._layer = runtime.QuantizedLinear(layer.geometry, layer.weight, layer.bias, scheme, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply integers, then scale: (..., in) -> (..., out); no gradient passes through."""
        return self._layer.forward(x)

    def parameters(self) -> list[Tensor]:
        """Return [q_weight, q_bias], or [q_weight] without a bias."""
        return [self.q_weight] if self.q_bias is None else [self.q_weight, self.q_bias]

    def memory_usage(self) -> dict[str, float]:
        """Return the bytes of the original and of this layer's stored arrays, and their ratio."""
        quantized = sum(array.nbytes for array in self.state().values())
        return {
            "original_bytes": self._original_bytes,
            "quantized_bytes": quantized,
            "compression_ratio": self._original_bytes / quantized,
        }

    def inference_layer(self) -> Layer:
        """Return the layer of tinytorch.runtime that computes."""
        return self._layer

    def config(self) -> dict[str, JSON]:
        """Return sizes and scheme."""
        return self._layer.config()

    def state(self) -> dict[str, Array]:
        """Return the stored arrays: int8 (packed for 4 bits) weights, scales, bias."""
        return self._layer.state()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Replace the last axis by the number of outputs."""
        return self._layer.output_shape(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the integer multiply-accumulates of one sample."""
        return self._layer.macs(input_shape)


def quantize_model(model: Any, calibration_data: Sequence[Tensor] | None = None, bits: int = 8) -> Any:
    """Replace every linear layer and convolution inside `model` by its quantized form, in place; return the model.

    `calibration_data`, inputs of the model, fixes the activation scales of the linear layers. Raises ValueError for
    bits other than 8 and 4, and NoEffectError if there is no layer to replace (quantize a lone Linear itself by
    QuantizedLinear).
    """
    places = [slot for slot in slots(model) if isinstance(slot.get(), Linear | Conv2d | SparseLinear | SparseConv2d)]
    if not places:
        raise NoEffectError(
            f"quantize_model found no Linear or Conv2d inside {type(model).__name__}: they must be in its attributes "
            "or in its .layers. A single layer is quantized by QuantizedLinear(layer)."
        )
    inputs: dict[int, list[Tensor]] = {}
    for sample in calibration_data or ():
        observe(model, sample, lambda layer, x, _: inputs.setdefault(id(layer), []).append(x))
    for slot in places:
        layer = slot.get()
        if isinstance(layer, Conv2d | SparseConv2d):
            slot.put(_quantized_conv(layer, bits))
        elif isinstance(layer, Linear | SparseLinear):
            quantized = QuantizedLinear(layer, bits)
            if id(layer) in inputs:
                quantized.calibrate(inputs[id(layer)])
            slot.put(quantized)
    return model


def _quantized_conv(layer: Conv2d | SparseConv2d, bits: int) -> Layer:
    scheme = runtime.Scheme(bits, "per_channel", "dynamic")
    bias = None if layer.bias is None else layer.bias.data.copy()
    is_sparse = isinstance(layer, SparseConv2d)
    weight = runtime.QuantizedWeight.of(np.ascontiguousarray(layer.weight.data), scheme, is_sparse)
    return runtime.QuantizedConv2d(ConvGeometry.from_config(layer.config()), weight, bias, scheme)


class Quantizer:
    """The course's static functions for single tensors and for a model's parameters."""

    @staticmethod
    def quantize_tensor(tensor: Tensor) -> tuple[Int8Tensor, float, int]:
        """Return (q, scale, zero_point)."""
        return quantize_int8(tensor)

    @staticmethod
    def dequantize_tensor(q_tensor: Tensor, scale: float, zero_point: int) -> Tensor:
        """Return the float32 values."""
        return dequantize_int8(q_tensor, scale, zero_point)

    @staticmethod
    def quantize_model(model: Any, calibration_data: Sequence[Tensor] | None = None) -> dict[str, Any]:
        """Return every parameter as int8 with its scale, and the sizes; the model itself stays as it is.

        `calibration_data` has no effect: only parameters are quantized here.
        """
        parts: dict[str, dict[str, Any]] = {}
        for i, p in enumerate(parameters_of(model)):
            q, scale, zero_point = quantize_int8(p)
            entry = {"quantized": q, "scale": scale, "zero_point": zero_point, "original_shape": p.shape}
            parts[f"param_{i}"] = entry
        if not parts:
            raise NoEffectError(f"{type(model).__name__} has no parameters to quantize.")
        original = sum(p.memory_footprint() for p in parameters_of(model))
        quantized = sum(part["quantized"].memory_footprint() + 2 * 4 for part in parts.values())  # scale, zero point
        return {
            "quantized_layers": parts,
            "original_size_mb": original / MB_TO_BYTES,
            "quantized_size_mb": quantized / MB_TO_BYTES,
            "compression_ratio": original / quantized,
        }

    @staticmethod
    def compare_models(original_model: Any, quantized_info: dict[str, Any]) -> dict[str, float]:
        """Return megabytes before and after, ratio and difference, from what Quantizer.quantize_model returned."""
        original = held_bytes(original_model) / MB_TO_BYTES
        quantized = float(quantized_info["quantized_size_mb"])
        return {
            "original_mb": original,
            "quantized_mb": quantized,
            "compression_ratio": original / quantized,
            "memory_saved_mb": original - quantized,
        }


def verify_quantization_works(original_model: Any, quantized_model: Any) -> dict[str, Any]:
    """Return the bytes of both models, the ratio, and in `verified` whether the second holds fewer bytes as int8."""
    original, quantized = held_bytes(original_model), held_bytes(quantized_model)
    arrays = [a for slot in slots(quantized_model) for a in slot.get().state().values()]
    is_integer = any(a.dtype.itemsize == 1 for a in arrays)
    return {
        "original_mb": original / MB_TO_BYTES,
        "quantized_mb": quantized / MB_TO_BYTES,
        "actual_reduction": original / quantized,
        "verified": is_integer and quantized < original,
    }
