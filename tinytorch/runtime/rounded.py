"""Layers that compute in float32 with the values that their integer forms would have, and still learn.

What is rounded passes its gradient on as if it were not (the straight-through estimator), except where a calibrated
range cuts an input off: there the output does not depend on it. [Bengio et al., 2013; Jacob et al., 2018, section 3]
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.arithmetic import LinearBackward, MulBackward
from tinytorch.core.function import Function
from tinytorch.core.layer import Leaf
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2dBackward
from tinytorch.core.tensor import Tensor
from tinytorch.kernels import quantized as kernels
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.geometry import ConvGeometry
from tinytorch.runtime.quantized import QuantizedWeight, Scheme
from tinytorch.runtime.sparse import Sparse, SparseLinear

__all__ = ["Rounded"]

Array: TypeAlias = NDArray[Any]


class _RoundWeights(Function):
    """Weights as the scheme rounds them; `is_transposed` says that their outputs come last."""

    scheme: Scheme
    is_transposed: bool

    def forward(self, weight: Array) -> Array:
        """Round and scale back. Weights that are not finite stay: `fit` reports that training diverged."""
        if not np.isfinite(weight).all():
            return weight
        rows = np.ascontiguousarray(weight.T) if self.is_transposed else weight
        rounded = QuantizedWeight.of(rows, self.scheme).dequantized()
        return np.ascontiguousarray(rounded.T) if self.is_transposed else rounded

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Straight through."""
        return (grad,)


class _RoundInputs(Function):
    """Inputs as int8 holds them: with a calibrated `scale` (1,), or None for one scale a sample."""

    scale: Array | None

    def forward(self, x: Array) -> Array:
        """Round and scale back."""
        scale = kernels.activation_scale(x) if self.scale is None else self.scale
        self.is_inside = None if self.scale is None else np.abs(x) <= 127 * self.scale
        rounded: Array = kernels.quantize_activations(x, scale, self.scale is not None)
        rounded *= scale
        return rounded

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Straight through, where the range does not cut off."""
        return (grad if self.is_inside is None else grad * self.is_inside,)


class Rounded(Leaf):
    """A Linear, a Conv2d or a sparse one that computes what its integer form with `scheme` will, up to float32."""

    def __init__(self, layer: Any, scheme: Scheme, activation_scale: Array | None) -> None:
        self.layer, self.scheme, self.activation_scale = layer, scheme, activation_scale
        self._is_linear = isinstance(layer, BlockSparseLinear | Linear | SparseLinear)

    def parameters(self) -> list[Tensor]:
        """Return the layer's own: they are trained in place."""
        parameters: list[Tensor] = self.layer.parameters()
        return parameters

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the layer's."""
        shape: tuple[int, ...] = self.layer.output_shape(input_shape)
        return shape

    def forward(self, x: Tensor) -> Tensor:
        """Compute with rounded weights and, unless they stay in float32, rounded inputs."""
        weight = self.layer.weight
        if isinstance(self.layer, Sparse):
            weight = MulBackward.run(weight, Tensor(self.layer.mask))  # pruned weights get no gradient
        weight = _RoundWeights.run(weight, scheme=self.scheme, is_transposed=self._is_linear)
        if self.scheme.activations != "none":
            x = _RoundInputs.run(x, scale=self.activation_scale)
        parameters: tuple[Tensor, ...] = (weight,) if self.layer.bias is None else (weight, self.layer.bias)
        if self._is_linear:
            return LinearBackward.run(x, *parameters)
        geometry = ConvGeometry.from_config(self.layer.config())
        return Conv2dBackward.run(x, *parameters, stride=geometry.stride, padding=geometry.padding)
