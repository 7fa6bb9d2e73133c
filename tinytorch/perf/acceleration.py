"""The course's acceleration module: matrix products by BLAS, in one call or in tiles, and GELU in one op."""

from __future__ import annotations

import math

import numpy as np

from tinytorch.core.function import Array, Function
from tinytorch.core.tensor import Tensor

__all__ = ["FusedGELUBackward", "fused_gelu", "tiled_matmul", "vectorized_matmul"]

ROOT = math.sqrt(2 / math.pi)
CUBIC = 0.044715  # Hendrycks & Gimpel, 2016, section 2


def vectorized_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b, (..., m, k) @ (..., k, n), as one BLAS call for each matrix; errors as for `Tensor.matmul`."""
    return a.matmul(b)


class FusedGELUBackward(Function):
    """½x(1 + tanh(√(2/π)(x + 0.044715x³))), in place in one temporary array."""

    def forward(self, x: Array) -> Array:
        """Gate x."""
        self.x = x
        gate = x * x
        gate *= x.dtype.type(CUBIC * ROOT)
        gate += x.dtype.type(ROOT)
        gate *= x
        self.tanh = np.tanh(gate, out=gate)
        out: Array = gate + 1
        out *= x
        out *= x.dtype.type(0.5)
        return out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """½(1 + t) + ½x(1 - t²)·√(2/π)(1 + 3·0.044715x²)."""
        inner = ROOT * (1 + 3 * CUBIC * self.x * self.x)
        return (grad * (0.5 * (1 + self.tanh) + 0.5 * self.x * (1 - self.tanh * self.tanh) * inner).astype(grad.dtype),)


def fused_gelu(x: Tensor) -> Tensor:
    """Return the tanh form of GELU, which is closer to the exact one than the x·σ(1.702x) of the layer `GELU`."""
    return FusedGELUBackward.run(x)


class TiledMatmulBackward(Function):
    """a @ b for matrices, summed tile by tile."""

    tile_size: int

    def forward(self, a: Array, b: Array) -> Array:
        """Multiply."""
        self.a, self.b = a, b
        return _tiled(a, b, self.tile_size)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """With G the gradient: G·Bᵀ for A, Aᵀ·G for B."""
        return _tiled(grad, self.b.T, self.tile_size), _tiled(self.a.T, grad, self.tile_size)


def tiled_matmul(a: Tensor, b: Tensor, tile_size: int = 64) -> Tensor:
    """Return a @ b for matrices (m, k) @ (k, n), as sums of products of tiles of tile_size x tile_size.

    It shows how a product stays in the cache; BLAS does so by itself, so `vectorized_matmul` is faster. Raises
    ValueError for other shapes and for a tile_size below 1, TypeError for what is no Tensor.
    """
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        raise TypeError(f"tiled_matmul needs two Tensors, but got {type(a).__name__} and {type(b).__name__}.")
    if tile_size < 1:
        raise ValueError(f"tile_size must be at least 1, but is {tile_size}.")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(
            f"tiled_matmul needs matrices (m, k) and (k, n), but got {a.shape} and {b.shape}. For stacks of "
            "matrices use vectorized_matmul."
        )
    return TiledMatmulBackward.run(a, b, tile_size=int(tile_size))


def _tiled(a: Array, b: Array, size: int) -> Array:
    (rows, inner), columns = a.shape, b.shape[1]
    out = np.zeros((rows, columns), a.dtype)
    for i in range(0, rows, size):
        for j in range(0, columns, size):
            tile = out[i : i + size, j : j + size]
            for k in range(0, inner, size):
                tile += a[i : i + size, k : k + size] @ b[k : k + size, j : j + size]
    return out
