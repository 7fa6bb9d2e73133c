"""One token after the other, fast: a model's weights as plain arrays, one NumPy call for each step of the arithmetic.

What it computes is what `GPT.forward` computes with a cache. A layer of another kind than Linear, such as a quantized
one, is asked itself.
"""

from __future__ import annotations

import functools
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
        self._scale = np.float32(math.sqrt(embedding.embed_dim)) if embedding.scale_embeddings else None
        self._tokens, self._positions = embedding.token_embedding.weight.data, embedding.position_vectors()
        self._blocks = [_block(block, cache, i) for i, block in enumerate(model.blocks)]
        self._norm, self._head = _norm(model.ln_f), _affine(model.lm_head)

    def step(self, tokens: npt.NDArray[np.intp]) -> Array:
        """Return the scores after these tokens; raise ValueError where the cache is full."""
        self._cache.require_room(1)
        x = self._tokens.take(tokens, axis=0)
        if self._scale is not None:
            x *= self._scale
        x += self._positions[self._cache.seq_pos]
        if len(x) == 1:
            x = x[0]  # a text alone is a vector all the way: NumPy's calls then take least
        with np.errstate(over="ignore"):  # of the exponential in _gelu
            for block in self._blocks:
                block(x)
        self._cache.advance()
        return self._head(self._norm(x)).reshape(len(tokens), -1)


def _block(block: TransformerBlock, cache: KVCache, layer: int) -> Callable[[Array], None]:
    """Return the function that adds attention and MLP of a block to x, (B, E) or of one text (E,), in place."""
    attention = block.attention
    heads, size = attention.num_heads, attention.head_dim
    project, remember, before_mlp = _projections(block), _past(cache, layer), _norm(block.ln2)
    out, up, down = _affine(attention.out_proj), _affine(block.mlp.linear1), _affine(block.mlp.linear2)

    def run(x: Array) -> None:
        qkv = project(x).reshape(*x.shape[:-1], 3, heads, size)
        keys, values = remember(qkv[..., 1, :, :], qkv[..., 2, :, :])  # (..., heads, S, d)
        weights = np.matmul(keys, qkv[..., 0, :, :, np.newaxis])[..., 0]  # (..., heads, S)
        weights -= np.maximum.reduce(weights, axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        read = np.matmul(weights[..., np.newaxis, :], values)[..., 0, :]  # (..., heads, d)
        read /= np.add.reduce(weights, axis=-1, keepdims=True)
        x += out(read.reshape(x.shape))
        x += down(_gelu(up(before_mlp(x))))

    return run


def _past(cache: KVCache, layer: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Return the function that takes a key and a value of each head, and returns all of them so far."""
    is_alone = cache.batch_size == 1
    if cache.dtype == "float32":
        held_keys, held_values = (array[0] if is_alone else array for array in cache.arrays(layer))

        def write(key: Array, value: Array) -> tuple[Array, Array]:
            position = cache.seq_pos
            held_keys[..., position, :], held_values[..., position, :] = key, value
            return held_keys[..., : position + 1, :], held_values[..., : position + 1, :]

        return write

    def extend(key: Array, value: Array) -> tuple[Array, Array]:
        shape = (cache.batch_size, cache.num_heads, 1, cache.head_dim)
        keys, values = cache.extend(layer, key.reshape(shape), value.reshape(shape))
        return (keys[0], values[0]) if is_alone else (keys, values)

    return extend


def _projections(block: TransformerBlock) -> Map:
    """Return the function that normalizes x and joins its query, divided by √d, its key and its value.

    One product if it can be. Its weights are a copy in any case, so that gain, offset and division go into them.
    """
    attention, norm = block.attention, block.ln1
    layers = [attention.q_proj, attention.k_proj, attention.v_proj]
    scale = np.float32(1 / math.sqrt(attention.head_dim))
    if all(type(layer) is Linear for layer in layers):
        weight = np.concatenate([layer.weight.data for layer in layers], axis=1)  # type: ignore[attr-defined]
        offset = norm.beta.data @ weight
        for i, layer in enumerate(layers):
            if layer.bias is not None:  # type: ignore[attr-defined]
                offset[i * attention.embed_dim : (i + 1) * attention.embed_dim] += layer.bias.data  # type: ignore[attr-defined]
        weight *= norm.gamma.data[:, np.newaxis]
        for array in (weight, offset):
            array[..., : attention.embed_dim] *= scale
        eps = float(norm.eps)

        def project(x: Array) -> Array:
            centred, deviation = _centred(x, eps)
            out: Array = centred.dot(weight)
            out /= deviation
            out += offset
            return out

        return project
    normalize, (query, key, value) = _norm(norm), map(_affine, layers)

    def join(x: Array) -> Array:
        normed = normalize(x)
        return np.concatenate([query(normed) * scale, key(normed), value(normed)], axis=-1)

    return join


def _affine(layer: Layer) -> Map:
    if type(layer) is Linear:
        return _product(layer.weight.data, None if layer.bias is None else layer.bias.data)
    return lambda x: layer.forward(Tensor._wrap(np.atleast_2d(x))).data.reshape(*x.shape[:-1], -1)


def _product(weight: Array, bias: Array | None) -> Map:
    if bias is None:
        return lambda x: x.dot(weight)

    def apply(x: Array) -> Array:
        out: Array = x.dot(weight)
        out += bias
        return out

    return apply


def _centred(x: Array, eps: float) -> tuple[Array, Array | float]:
    """Return x minus its mean, and √(variance + eps); of a vector as a number, which is cheaper than an array."""
    share = 1 / x.shape[-1]
    if x.ndim == 1:
        centred = x - float(x.dot(_ones(x.size))) * share
        return centred, math.sqrt(float(centred.dot(centred)) * share + eps)
    centred = x - np.add.reduce(x, axis=-1, keepdims=True) * np.float32(share)
    variance = np.add.reduce(centred * centred, axis=-1, keepdims=True)
    variance *= np.float32(share)
    variance += np.float32(eps)
    return centred, np.sqrt(variance)


@functools.cache
def _ones(size: int) -> Array:
    return np.ones(size, np.float32)  # a product with it takes less than half the time of the sum


def _norm(layer: LayerNorm) -> Map:
    gamma, beta, eps = layer.gamma.data, layer.beta.data, float(layer.eps)

    def apply(x: Array) -> Array:
        centred, deviation = _centred(x, eps)
        centred /= deviation
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
