"""Attention: every position reads from those it may see, weighted by how well its query fits their keys.

Q, K and V are (..., T, d); with heads (batch, heads, T, d). A mask is 1 where a query may read a key and 0 where not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinytorch.core.activations import SoftmaxBackward
from tinytorch.core.function import Array, Function
from tinytorch.core.kv_cache import KVCache
from tinytorch.core.layer import JSON, Layer, Stateless
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor

__all__ = [
    "AttentionBackward",
    "AttentionProduct",
    "CachedAttention",
    "MultiHeadAttention",
    "Past",
    "causal",
    "scaled_dot_product_attention",
]

BLOCKED = -1e30  # added to a score that does not count: its exponential is 0, and no NaN comes from ∞ - ∞

Mask = Tensor | npt.ArrayLike


class AttentionBackward(Function):
    """softmax(Q·Kᵀ/√d)·V as one op [Vaswani et al., 2017, equation 1].

    `mask`, broadcast to (..., T, S), is true where a query may read; a query that may read nothing gives zeros.
    """

    mask: Array | None = None

    def forward(self, q: Array, k: Array, v: Array) -> Array:
        """Weigh the values (..., S, d) for each query: (..., T, d)."""
        self.k, self.v, self.scale = k, v, q.dtype.type(1 / math.sqrt(q.shape[-1]))
        self.q = q * self.scale
        weights = self.q @ k.swapaxes(-1, -2)
        if self.mask is not None:
            weights += np.where(self.mask, weights.dtype.type(0), weights.dtype.type(BLOCKED))
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        if self.mask is not None and not (sees := self.mask.any(axis=-1, keepdims=True)).all():
            weights *= sees
        self.weights = weights
        self.out = np.asarray(weights @ v)
        return self.out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """With P the weights, dS = P·(G·Vᵀ - Σ G·O): dS·K/√d for Q, dSᵀ·Q/√d for K, Pᵀ·G for V."""
        slope = grad @ self.v.swapaxes(-1, -2)
        slope -= np.einsum("...td,...td->...t", grad, self.out)[..., np.newaxis]
        slope *= self.weights
        grad_q = slope @ self.k
        grad_q *= self.scale
        return grad_q, slope.swapaxes(-1, -2) @ self.q, self.weights.swapaxes(-1, -2) @ grad


def scaled_dot_product_attention(Q: Tensor, K: Tensor, V: Tensor, mask: Mask | None = None) -> tuple[Tensor, Tensor]:
    """Return softmax(Q·Kᵀ/√d)·V (..., T, e) and the weights (..., T, S).

    Q is (..., T, d), K (..., S, d), V (..., S, e). `mask` broadcasts to the weights: 1 = attend, 0 = block; a query
    that may attend to nothing gets zeros. Raises ValueError for shapes that do not fit.
    """
    if min(Q.ndim, K.ndim, V.ndim) < 2 or Q.shape[-1] != K.shape[-1] or K.shape[-2] != V.shape[-2]:
        raise ValueError(
            f"Attention needs Q (..., T, d), K (..., S, d) and V (..., S, e), but got {Q.shape}, {K.shape} and "
            f"{V.shape}: Q and K need the same last axis, K and V the same number of positions."
        )
    scores = (Q * (1 / math.sqrt(Q.shape[-1]))) @ K.transpose()
    if mask is None:
        weights = SoftmaxBackward.run(scores, dim=-1)
    else:
        may_read = _may_read(mask, scores.shape)
        weights = SoftmaxBackward.run(scores.masked_fill(~may_read, BLOCKED), dim=-1)
        sees = may_read.any(axis=-1, keepdims=True)
        if not sees.all():
            weights = weights.masked_fill(np.broadcast_to(~sees, weights.shape), 0.0)
    return weights @ V, weights


class AttentionProduct(Stateless):
    """softmax(Q·Kᵀ/√d)·V as a layer, which is seen and counted like others; it has no parameters."""

    def forward(self, x: Tensor, keys: Tensor | None = None, values: Tensor | None = None, mask: Any = None) -> Tensor:
        """Weigh the values for each query x (B, heads, T, d); keys and values are x itself unless given."""
        keys = x if keys is None else keys
        return AttentionBackward.run(x, keys, keys if values is None else values, mask=mask)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return those of both products over all pairs of T positions, for queries (heads, T, d)."""
        heads, count, size = input_shape
        return 2 * heads * count * count * size


@dataclass(frozen=True)
class Past:
    """Where one layer of a model keeps its keys and values."""

    cache: KVCache
    layer: int


class MultiHeadAttention(Layer):
    """Attend with `num_heads` heads of `head_dim` = embed_dim / num_heads [Vaswani et al., 2017, section 3.2.2].

    `q_proj`, `k_proj`, `v_proj` and `out_proj` are Linear(embed_dim, embed_dim). Raises ValueError unless num_heads
    divides embed_dim.
    """

    def __init__(self, embed_dim: int, num_heads: int, *, rng: np.random.Generator | None = None) -> None:
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"The number of heads must divide embed_dim, but embed_dim={embed_dim} and num_heads={num_heads}."
            )
        self.embed_dim, self.num_heads, self.head_dim = int(embed_dim), int(num_heads), embed_dim // num_heads
        self.q_proj: Layer = Linear(embed_dim, embed_dim, rng=rng)
        self.k_proj: Layer = Linear(embed_dim, embed_dim, rng=rng)
        self.v_proj: Layer = Linear(embed_dim, embed_dim, rng=rng)
        self.product = AttentionProduct()
        self.out_proj: Layer = Linear(embed_dim, embed_dim, rng=rng)

    def forward(self, x: Tensor, mask: Mask | None = None, past: Past | None = None) -> Tensor:
        """Attend within x (B, T, embed_dim), where `mask` allows: (T, T), (B, T, T) or (B, heads, T, T).

        With `past`, x continues the positions in that cache, is written to it, and sees itself and all before (`mask`
        is not asked). Raises ValueError for other shapes.
        """
        if x.ndim != 3 or x.shape[-1] != self.embed_dim:
            raise ValueError(
                f"MultiHeadAttention({self.embed_dim}, {self.num_heads}) got an input of shape {x.shape}, but needs "
                f"(batch, positions, {self.embed_dim})."
            )
        batch, count = x.shape[:2]
        q, k, v = (self._heads(proj.forward(x)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        may_read = None if mask is None else _may_read(mask, (batch, self.num_heads, count, count))
        if past is not None:
            start = past.cache.seq_pos
            keys, values = past.cache.extend(past.layer, k, v)
            if start:  # before that the layer's own keys are all there are, and gradients flow through them
                k, v = Tensor._wrap(keys), Tensor._wrap(values)
            may_read = causal(count, start) if count > 1 else None
        joined = self.product.forward(q, k, v, may_read).transpose(1, 2)
        return self.out_proj.forward(joined.reshape(batch, count, self.embed_dim))

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def config(self) -> dict[str, JSON]:
        """Return embed_dim and num_heads."""
        return {"embed_dim": self.embed_dim, "num_heads": self.num_heads}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape, (T, embed_dim)."""
        if len(input_shape) != 2 or input_shape[1] != self.embed_dim:
            raise ValueError(f"MultiHeadAttention cannot take samples of shape {input_shape}: (T, {self.embed_dim}).")
        return tuple(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiply-accumulates of the projections and of both products over all T·T pairs."""
        count = input_shape[0]
        return 4 * count * self.embed_dim**2 + self.product.macs((self.num_heads, count, self.head_dim))


class CachedAttention(Layer):
    """An attention layer that, inside ``with cache.generation():``, continues what the cache holds for `layer_idx`.

    Outside it is the layer itself. The one who runs the layers calls `cache.advance` after the last of them.
    """

    def __init__(self, attention: MultiHeadAttention, cache: KVCache, layer_idx: int) -> None:
        self.attention, self.cache, self.layer_idx = attention, cache, layer_idx

    def forward(self, x: Tensor, mask: Mask | None = None, past: Past | None = None) -> Tensor:
        """Attend from x (B, T, embed_dim) to itself and, while generating, to all positions in the cache."""
        if past is None and self.cache.is_generating:
            past = Past(self.cache, self.layer_idx)
        return self.attention.forward(x, mask, past)


def causal(count: int, start: int = 0) -> Array:
    """Return where `count` positions from `start` on may read: themselves and all before, bool (count, start+count)."""
    return np.tri(count, start + count, start, dtype=bool)


def _may_read(mask: Mask, shape: tuple[int, ...]) -> Array:
    """Return the mask as booleans that broadcast to scores of `shape`; (B, T, S) gets an axis for the heads."""
    values = np.asarray(mask.data if isinstance(mask, Tensor) else mask)
    may_read: Array = values != 0
    if may_read.ndim == 3 and len(shape) == 4:
        may_read = may_read[:, np.newaxis]
    try:
        np.broadcast_to(may_read, shape)
    except ValueError as error:
        raise ValueError(
            f"The attention mask has shape {values.shape}, but the scores have {shape}: it must be (T, S), "
            "(batch, T, S) or (batch, heads, T, S), with 1 where a query may read a key and 0 where not."
        ) from error
    return may_read
