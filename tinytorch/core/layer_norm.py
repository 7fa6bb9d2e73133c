"""Layer normalization: each vector by its own mean and variance. The course imports it from transformers.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from tinytorch.core.function import Array, Function
from tinytorch.core.layer import JSON, Leaf, checked_config, checked_state
from tinytorch.core.tensor import Tensor

__all__ = ["LayerNorm", "LayerNormBackward"]


class LayerNormBackward(Function):
    """(x - mean)/√(var + eps)·gamma + beta over the last axes, as many as gamma has [Ba, Kiros & Hinton, 2016]."""

    eps: float

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        """Normalize, scale and shift; the variance divides by n."""
        self.gamma = gamma.reshape(-1)
        rows = x.reshape(-1, self.gamma.size)
        self.normed = rows - rows.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", self.normed, self.normed)[:, np.newaxis] / x.dtype.type(self.gamma.size)
        self.inverse_std = 1 / np.sqrt(variance + x.dtype.type(self.eps))
        self.normed *= self.inverse_std
        self.shape, self.own_shape = x.shape, gamma.shape
        out: Array = self.normed * self.gamma
        out += beta.reshape(-1)
        return out.reshape(self.shape)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """With x̂ the normalized input and h = g·γ: (h - mean(h) - x̂·mean(h·x̂))/σ; Σg·x̂ for γ, Σg for β."""
        rows = grad.reshape(-1, self.gamma.size)
        grad_gamma = np.einsum("ij,ij->j", rows, self.normed).reshape(self.own_shape)
        grad_beta = rows.sum(axis=0).reshape(self.own_shape)
        if not self.needs[0]:
            return None, grad_gamma, grad_beta
        size = grad.dtype.type(self.gamma.size)
        grad_x = rows * self.gamma
        along = np.einsum("ij,ij->i", grad_x, self.normed)[:, np.newaxis] / size
        grad_x -= grad_x.mean(axis=1, keepdims=True)
        grad_x -= self.normed * along
        grad_x *= self.inverse_std
        return grad_x.reshape(self.shape), grad_gamma, grad_beta


class LayerNorm(Leaf):
    """Normalize over the last axes, those of `normalized_shape`, then scale by `gamma` and shift by `beta`."""

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5) -> None:
        self._set_facts(normalized_shape, eps)
        self.gamma = Tensor(np.ones(self._shape), requires_grad=True)
        self.beta = Tensor(np.zeros(self._shape), requires_grad=True)

    def _set_facts(self, normalized_shape: Any, eps: float) -> None:
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"LayerNorm needs at least one value to normalize over, got shape {normalized_shape}.")
        self.normalized_shape: int | tuple[int, ...] = sizes[0] if isinstance(normalized_shape, int) else sizes
        self._shape, self.eps = tuple(int(size) for size in sizes), float(eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each vector; raise ValueError if the last axes are not normalized_shape."""
        if x.shape[-len(self._shape) :] != self._shape:
            raise ValueError(
                f"LayerNorm({self.normalized_shape}) got an input of shape {x.shape}, whose last axes must be "
                f"{self._shape}."
            )
        return LayerNormBackward.run(x, self.gamma, self.beta, eps=self.eps)

    def parameters(self) -> list[Tensor]:
        """Return [gamma, beta]."""
        return [self.gamma, self.beta]

    def config(self) -> dict[str, JSON]:
        """Return normalized_shape and eps."""
        shape = self.normalized_shape
        return {"normalized_shape": shape if isinstance(shape, int) else list(shape), "eps": self.eps}

    def state(self) -> dict[str, Array]:
        """Return gamma and beta."""
        return {"gamma": self.gamma.data, "beta": self.beta.data}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around copies of these arrays."""
        layer = cls.__new__(cls)
        with checked_config(cls, config):
            layer._set_facts(**config)
        tensors = checked_state(cls, state, dict.fromkeys(("gamma", "beta"), layer._shape))
        layer.gamma, layer.beta = tensors["gamma"], tensors["beta"]
        return layer

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape, whose last axes must be normalized_shape."""
        if tuple(input_shape[-len(self._shape) :]) != self._shape:
            raise ValueError(f"LayerNorm({self.normalized_shape}) cannot take samples of shape {input_shape}.")
        return tuple(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return 0: elementwise."""
        return 0
