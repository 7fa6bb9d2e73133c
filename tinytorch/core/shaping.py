"""Differentiable rearrangement and reduction: transpose, permute, reshape, slice, gather, mask, sum, mean, max."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.core.function import Array, Function

__all__ = [
    "EmbeddingBackward",
    "MaskedFillBackward",
    "MaxBackward",
    "MeanBackward",
    "PermuteBackward",
    "ReshapeBackward",
    "SliceBackward",
    "SumBackward",
    "TransposeBackward",
]

Axis = int | tuple[int, ...] | None


class TransposeBackward(Function):
    """Swap two axes."""

    def __init__(self, tensor: Any, dim0: int, dim1: int) -> None:
        super().__init__(tensor, dim0=dim0, dim1=dim1)

    dim0: int
    dim1: int

    def forward(self, x: Array) -> Array:
        """Return a view with the two axes swapped."""
        return x.swapaxes(self.dim0, self.dim1)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Swap back."""
        return (grad.swapaxes(self.dim0, self.dim1),)


class PermuteBackward(Function):
    """Reorder all axes."""

    def __init__(self, tensor: Any, axes: tuple[int, ...]) -> None:
        super().__init__(tensor, axes=tuple(axes))

    axes: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        """Return a view with the axes in the order given."""
        return x.transpose(self.axes)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Apply the inverse permutation."""
        inverse = sorted(range(grad.ndim), key=lambda i: self.axes[i] % grad.ndim)
        return (grad.transpose(inverse),)


class ReshapeBackward(Function):
    """Give the same values another shape; `shape` None only undoes (the course's two-argument form)."""

    def __init__(self, tensor: Any, original_shape: tuple[int, ...], shape: tuple[int, ...] | None = None) -> None:
        super().__init__(tensor, original_shape=original_shape, shape=shape)

    original_shape: tuple[int, ...]
    shape: tuple[int, ...] | None

    def forward(self, x: Array) -> Array:
        """Return the values in the new shape."""
        return x if self.shape is None else x.reshape(self.shape)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Return to the original shape."""
        return (grad.reshape(self.original_shape),)


class SliceBackward(Function):
    """x[key] for any NumPy key, repeated indices included."""

    def __init__(self, tensor: Any, key: Any) -> None:
        super().__init__(tensor, key=key)

    key: Any

    def forward(self, x: Array) -> Array:
        """Select."""
        self.shape = x.shape
        return np.asarray(x[self.key])

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Put each gradient where its value came from; values taken twice get both."""
        full = np.zeros(self.shape, grad.dtype)
        keys = self.key if isinstance(self.key, tuple) else (self.key,)
        if any(isinstance(k, np.ndarray | list) for k in keys):
            np.add.at(full, self.key, grad)
        else:
            full[self.key] = grad
        return (full,)


class EmbeddingBackward(Function):
    """Rows of a table: weight (V, E), integer `indices` of any shape -> (*indices.shape, E)."""

    def __init__(self, weight: Any, indices: Any) -> None:
        super().__init__(weight, indices=np.asarray(getattr(indices, "data", indices)).astype(np.int64))

    indices: Array

    def forward(self, weight: Array) -> Array:
        """Gather the rows."""
        self.shape = weight.shape
        return np.asarray(weight[self.indices])

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Sum the gradients of each row that was used; sorting first took a third of the time of np.add.at."""
        full = np.zeros(self.shape, grad.dtype)
        order = np.argsort(self.indices, axis=None, kind="stable")
        if order.size:
            rows = self.indices.reshape(-1)[order]
            starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
            full[rows[starts]] = np.add.reduceat(grad.reshape(-1, self.shape[-1])[order], starts, axis=0)
        return (full,)


class MaskedFillBackward(Function):
    """Replace values where `mask` (broadcast to x) is true by a constant."""

    def __init__(self, tensor: Any, mask: Array, value: float) -> None:
        super().__init__(tensor, mask=mask, value=value)

    mask: Array
    value: float

    def forward(self, x: Array) -> Array:
        """Fill."""
        return np.where(self.mask, x.dtype.type(self.value), x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Constants pass no gradient on."""
        return (np.where(self.mask, grad.dtype.type(0), grad),)


class SumBackward(Function):
    """Sum over `axis` (None: all)."""

    def __init__(self, tensor: Any, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__(tensor, axis=axis, keepdims=keepdims)

    axis: Axis
    keepdims: bool

    def forward(self, x: Array) -> Array:
        """Sum."""
        self.shape = x.shape
        return np.asarray(x.sum(axis=self.axis, keepdims=self.keepdims))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Every summand has derivative 1."""
        return (np.broadcast_to(_with_axes(grad, self.axis, self.keepdims, self.shape), self.shape),)


class MeanBackward(SumBackward):
    """Mean over `axis` (None: all)."""

    def forward(self, x: Array) -> Array:
        """Average."""
        self.shape = x.shape
        out = np.asarray(x.mean(axis=self.axis, keepdims=self.keepdims))
        self.count = x.size // max(out.size, 1)
        return out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Every summand has derivative 1/count."""
        return super().backward(grad / grad.dtype.type(self.count))


class MaxBackward(Function):
    """Maximum over `axis` (None: all)."""

    def __init__(self, tensor: Any, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__(tensor, axis=axis, keepdims=keepdims)

    axis: Axis
    keepdims: bool

    def forward(self, x: Array) -> Array:
        """Take the largest value."""
        self.x, self.out = x, np.asarray(x.max(axis=self.axis, keepdims=self.keepdims))
        return self.out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Split the gradient evenly among equal maxima (the minimal-norm subgradient)."""
        is_max = self.x == _with_axes(self.out, self.axis, self.keepdims, self.x.shape)
        ties = is_max.sum(axis=self.axis, keepdims=True)
        return (is_max * (_with_axes(grad, self.axis, self.keepdims, self.x.shape) / ties.astype(grad.dtype)),)


def _with_axes(reduced: Array, axis: Axis, keepdims: bool, shape: tuple[int, ...]) -> Array:
    """Put back, with length 1, the axes a reduction removed from `shape`."""
    if keepdims or reduced.ndim == len(shape):
        return reduced
    if axis is None:
        return reduced.reshape((1,) * len(shape))
    return np.expand_dims(reduced, axis)
