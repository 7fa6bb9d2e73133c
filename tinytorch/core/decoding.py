"""One token after the other, fast: a model's weights as plain arrays, one NumPy call for each step of the arithmetic.

What it computes is what `GPT.forward` computes with a cache. A layer of another kind than Linear, such as a quantized
one, is asked itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch.core.activations import GELU_SLOPE
from tinytorch.core.function import Array
from tinytorch.core.kv_cache import KVCache
from tinytorch.core.layer import Layer
from tinytorch.core.layer_norm import LayerNorm
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor

if TYPE_CHECKING:
    from tinytorch.core.transformers import GPT, TransformerBlock

__all__ = ["Decoder"]

Map: TypeAlias = Callable[[Array], Array]


class Decoder:
    """Compute the scores of the next token (B, V) for one token of each text (B,), and append it to the cache.

    The weights are read when it is made: make a new one after a change to the model. Raises ValueError for a model with
    parts of one's own but linear layers (`GPT.is_plain`).
    """

    def __init__(self, model: GPT, cache: KVCache) -> None:
        if not model.is_plain():
            raise ValueError(
                "A Decoder knows the usual parts of a GPT only: run the model itself with a cache enabled."
            )
        self._cache = cache
        embedding = model.embedding_layer
        scale = np.float32(math.sqrt(embedding.embed_dim) if embedding.scale_embeddings else 1)
        self._tokens, self._positions = embedding.token_embedding.weight.data * scale, embedding.position_vectors()
        self._blocks = [_block(block, cache, i) for i, block in enumerate(model.blocks)]
        self._norm, self._head = _norm(model.ln_f), _affine(model.lm_head)

    def step(self, tokens: npt.NDArray[np.intp]) -> Array:
        """Return the scores after these tokens; raise ValueError where the cache is full."""
        x = self._tokens[tokens]
        x += self._positions[self._cache.seq_pos]
        with np.errstate(over="ignore"):  # of the exponential in _gelu
            for block in self._blocks:
                block(x)
        self._cache.advance()
        return self._head(self._norm(x))


def _block(block: TransformerBlock, cache: KVCache, layer: int) -> Callable[[Array], None]:
    """Return the function that adds attention and MLP of a block to x (B, E) in place."""
    before_attention, before_mlp = _norm(block.ln1), _norm(block.ln2)
    attention = block.attention
    heads, size = attention.num_heads, attention.head_dim
    project = _projections([attention.q_proj, attention.k_proj, attention.v_proj])
    out, up, down = _affine(attention.out_proj), _affine(block.mlp.linear1), _affine(block.mlp.linear2)
    scale = np.float32(1 / math.sqrt(size))

    def run(x: Array) -> None:
        batch = len(x)
        # (B, 3, heads, d)
        qkv = project(before_attention(x)).reshape(batch, 3, heads, size, 1)
        q = qkv[:, 0] * scale
        keys, values = cache.extend(layer, qkv[:, 1].swapaxes(2, 3), qkv[:, 2].swapaxes(2, 3))
        weights = np.matmul(keys, q)  # (B, heads, S, 1)
        weights -= np.maximum.reduce(weights, axis=2, keepdims=True)
        np.exp(weights, out=weights)
        weights /= np.add.reduce(weights, axis=2, keepdims=True)
        read = np.matmul(weights.swapaxes(2, 3), values)  # (B, heads, 1, d)
        x += out(read.reshape(batch, -1))
        x += down(_gelu(up(before_mlp(x))))

    return run


def _projections(layers: list[Layer]) -> Map:
    """Return the function that applies layers to the same input and joins the results: one product if it can."""
    if all(type(layer) is Linear for layer in layers):
        weight = np.concatenate([layer.weight.data for layer in layers], axis=1)  # type: ignore[attr-defined]
        biases = [layer.bias for layer in layers]  # type: ignore[attr-defined]
        if all(bias is not None for bias in biases):
            return _product(weight, np.concatenate([bias.data for bias in biases]))
    maps = [_affine(layer) for layer in layers]
    return lambda x: np.concatenate([apply(x) for apply in maps], axis=1)


def _affine(layer: Layer) -> Map:
    if type(layer) is Linear:
        return _product(layer.weight.data, None if layer.bias is None else layer.bias.data)
    return lambda x: layer.forward(Tensor._wrap(x)).data


def _product(weight: Array, bias: Array | None) -> Map:
    if bias is None:
        return lambda x: np.matmul(x, weight)

    def apply(x: Array) -> Array:
        out: Array = np.matmul(x, weight)
        out += bias
        return out

    return apply


def _norm(layer: LayerNorm) -> Map:
    gamma, beta, eps = layer.gamma.data, layer.beta.data, np.float32(layer.eps)
    share = np.float32(1 / gamma.size)

    def apply(x: Array) -> Array:
        centred = x - np.add.reduce(x, axis=-1, keepdims=True) * share
        variance = np.add.reduce(centred * centred, axis=-1, keepdims=True)
        variance *= share
        variance += eps
        centred /= np.sqrt(variance)
        centred *= gamma
        centred += beta
        return centred

    return apply


def _gelu(x: Array) -> Array:
    """Return x·σ(1.702x); an overflow of the exponential gives 0 in the end, as it should."""
    gate = x * np.float32(-GELU_SLOPE)
    np.exp(gate, out=gate)
    gate += np.float32(1)
    return np.divide(x, gate, out=gate)
