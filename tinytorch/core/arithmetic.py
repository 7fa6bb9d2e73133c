"""Differentiable arithmetic: + - * /, matrix product, and the affine map of a linear layer.

Elementwise ops broadcast as NumPy does; their gradients are summed back to each input's shape.
"""

from __future__ import annotations

import numpy as np

from tinytorch.core.function import Array, Function, unbroadcast
from tinytorch.core.shapes import broadcast_problem

__all__ = ["AddBackward", "DivBackward", "LinearBackward", "MatmulBackward", "MulBackward", "SubBackward"]


class AddBackward(Function):
    """a + b."""

    def forward(self, a: Array, b: Array) -> Array:
        """Add elementwise."""
        self.shapes = a.shape, b.shape
        try:
            return a + b
        except ValueError as error:
            raise broadcast_problem("+", a.shape, b.shape) from error

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """d/da = 1, d/db = 1."""
        return tuple(unbroadcast(grad, s) if n else None for s, n in zip(self.shapes, self.needs, strict=True))


class SubBackward(Function):
    """a - b."""

    def forward(self, a: Array, b: Array) -> Array:
        """Subtract elementwise."""
        self.shapes = a.shape, b.shape
        try:
            return a - b
        except ValueError as error:
            raise broadcast_problem("-", a.shape, b.shape) from error

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """d/da = 1, d/db = -1."""
        a, b = self.shapes
        return (
            unbroadcast(grad, a) if self.needs[0] else None,
            -unbroadcast(grad, b) if self.needs[1] else None,
        )


class MulBackward(Function):
    """a * b."""

    def forward(self, a: Array, b: Array) -> Array:
        """Multiply elementwise."""
        self.a, self.b = a, b
        try:
            return a * b
        except ValueError as error:
            raise broadcast_problem("*", a.shape, b.shape) from error

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """d/da = b, d/db = a."""
        return (
            unbroadcast(grad * self.b, self.a.shape) if self.needs[0] else None,
            unbroadcast(grad * self.a, self.b.shape) if self.needs[1] else None,
        )


class DivBackward(Function):
    """a / b."""

    def forward(self, a: Array, b: Array) -> Array:
        """Divide elementwise."""
        self.a, self.b = a, b
        try:
            return a / b
        except ValueError as error:
            raise broadcast_problem("/", a.shape, b.shape) from error

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """d/da = 1/b, d/db = -a/b²."""
        return (
            unbroadcast(grad / self.b, self.a.shape) if self.needs[0] else None,
            unbroadcast(-grad * self.a / (self.b * self.b), self.b.shape) if self.needs[1] else None,
        )


class MatmulBackward(Function):
    """a @ b with NumPy's rules: vectors, matrices, and stacks of matrices whose leading axes broadcast."""

    def forward(self, a: Array, b: Array) -> Array:
        """Multiply matrices."""
        self.a, self.b = a, b
        return a @ b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """With G the gradient: G·Bᵀ for A, Aᵀ·G for B."""
        a = self.a if self.a.ndim > 1 else self.a[np.newaxis, :]
        b = self.b if self.b.ndim > 1 else self.b[:, np.newaxis]
        if self.a.ndim == 1:
            grad = np.expand_dims(grad, -1 if self.b.ndim == 1 else -2)
        if self.b.ndim == 1:
            grad = np.expand_dims(grad, -1)
        grad_a = grad_b = None
        if self.needs[0]:
            grad_a = unbroadcast(grad @ b.swapaxes(-1, -2), a.shape).reshape(self.a.shape)
        if self.needs[1]:
            grad_b = unbroadcast(a.swapaxes(-1, -2) @ grad, b.shape).reshape(self.b.shape)
        return grad_a, grad_b


class LinearBackward(Function):
    """x @ weight + bias as one op: x (..., in), weight (in, out), bias (out,) or left out."""

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Multiply, then add the bias in place."""
        self.x, self.weight, self.has_bias = x, weight, bias is not None
        out: Array = x @ weight
        if bias is not None:
            out += bias
        return out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """With G the gradient: G·Wᵀ for x, xᵀ·G for W, ΣG over every axis but the last for the bias."""
        rows = grad.reshape(-1, grad.shape[-1])
        grad_x = grad @ self.weight.T if self.needs[0] else None
        grad_w = self.x.reshape(-1, self.x.shape[-1]).T @ rows if self.needs[1] else None
        if not self.has_bias:
            return grad_x, grad_w
        return grad_x, grad_w, rows.sum(axis=0) if self.needs[2] else None
