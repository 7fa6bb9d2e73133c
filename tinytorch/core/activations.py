"""Activation functions: each op with its derivative, then the layers around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.core.function import Array, Function
from tinytorch.core.layer import Stateless
from tinytorch.core.shapes import axis_problem
from tinytorch.core.tensor import Tensor
from tinytorch.kernels import training

__all__ = [
    "GELU",
    "GELUBackward",
    "ReLU",
    "ReLUBackward",
    "Sigmoid",
    "SigmoidBackward",
    "Softmax",
    "SoftmaxBackward",
    "TOLERANCE",
    "Tanh",
    "TanhBackward",
    "sigmoid",
]

TOLERANCE = 1e-10
GELU_SLOPE = 1.702  # Hendrycks & Gimpel 2016: GELU(x) ≈ x·σ(1.702x)


class ReLUBackward(Function):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        """Cut off below zero."""
        self.out = training.relu(x)
        return self.out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """1 where the output is positive, else 0."""
        return (training.relu_grad(grad, self.out),)


class SigmoidBackward(Function):
    """σ(x) = 1/(1+e⁻ˣ)."""

    def forward(self, x: Array) -> Array:
        """Squash to (0, 1)."""
        self.out = sigmoid(x)
        return self.out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """σ' = σ(1-σ)."""
        return (grad * (self.out * (1 - self.out)),)


class TanhBackward(Function):
    """tanh(x)."""

    def forward(self, x: Array) -> Array:
        """Squash to (-1, 1)."""
        self.out = np.tanh(x)
        return self.out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """The derivative is 1 - tanh²."""
        return (grad * (1 - self.out * self.out),)


class GELUBackward(Function):
    """x·σ(1.702x)."""

    def forward(self, x: Array) -> Array:
        """Gate x by its own sigmoid."""
        gate = np.asarray(x * x.dtype.type(-GELU_SLOPE))
        with np.errstate(over="ignore"):  # then the gate is 0, as it should be
            np.exp(gate, out=gate)
        gate += 1
        self.x, self.gate = x, np.reciprocal(gate, out=gate)  # a fifth of the time of `sigmoid`
        out: Array = x * gate
        return out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """σ + 1.702·x·σ(1-σ)."""
        gate = self.gate
        return (grad * (gate * (1 + GELU_SLOPE * self.x * (1 - gate))),)


class SoftmaxBackward(Function):
    """eˣ / Σeˣ along `dim`."""

    def __init__(self, tensor: Any, dim: int = -1) -> None:
        super().__init__(tensor, dim=dim)

    dim: int

    def forward(self, x: Array) -> Array:
        """Normalize to a distribution; subtracting the maximum avoids overflow."""
        out: Array = np.exp(x - x.max(axis=self.dim, keepdims=True))
        out /= out.sum(axis=self.dim, keepdims=True)
        self.out = out
        return out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """p·(g - Σ g·p)."""
        weighted = grad * self.out
        return (weighted - self.out * weighted.sum(axis=self.dim, keepdims=True),)


def sigmoid(x: Array) -> Array:
    """Return 1/(1+e⁻ˣ) without overflow: only e^-|x| is ever computed."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small).astype(small.dtype, copy=False) / (1 + small))


class ReLU(Stateless):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return ReLUBackward.run(x)


class Sigmoid(Stateless):
    """1/(1+e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return SigmoidBackward.run(x)


class Tanh(Stateless):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return TanhBackward.run(x)


class GELU(Stateless):
    """x·σ(1.702x), the course's approximation of the Gaussian error linear unit."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return GELUBackward.run(x)


class Softmax(Stateless):
    """Turn scores into probabilities that sum to 1 along an axis."""

    def forward(self, x: Tensor, dim: int = -1) -> Tensor:
        """Normalize along `dim`; raises ValueError for an axis that there is not."""
        if not -x.ndim <= dim < x.ndim:
            raise axis_problem("Softmax", x.shape, dim)
        return SoftmaxBackward.run(x, dim=dim)
