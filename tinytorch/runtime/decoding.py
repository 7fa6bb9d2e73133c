"""Decoding natively: one token of each text through a whole transformer in one native call.

It does what `core.decoding.Decoder` does, which is its reference, with the layers' integers where they hold some. The
kernels write keys and values straight into the cache that is shared with the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.kv_cache import KVCache
from tinytorch.core.layer import Layer
from tinytorch.core.layer_norm import LayerNorm
from tinytorch.errors import KernelsError
from tinytorch.kernels import native
from tinytorch.runtime.fusion import LINEAR_MAPS, Step
from tinytorch.runtime.lowering import kernels_of, lower

if TYPE_CHECKING:
    from tinytorch.core.attention import MultiHeadAttention
    from tinytorch.core.transformers import GPT, TransformerBlock

__all__ = ["NativeDecoder", "why_not_native"]

Array: TypeAlias = NDArray[Any]
Operation: TypeAlias = "tuple[str, tuple[int, ...], tuple[int, ...], tuple[float, ...], tuple[Array | None, ...]]"

GELU = 4  # of the operation "unary"
# The buffers of a text; 0 and 1 are what the program is given and gives. JOINED holds a query, a key and a value.
INPUT, OUTPUT, STREAM, NORMED, QUERY, KEY, VALUE, JOINED, READ, HIDDEN = range(10)
AT_ONCE = 48  # positions of one text that go through together: a multiple of the rows that the products take at once
# The first of the arrays of these operations, one row an output, are joined where several read the same input.
_BY_OUTPUT = {"linear_f32": 2, "linear_i4": 3, "linear_i8": 3, "linear_w8": 3}
OUTPUTS, SCALES = 2, {"linear_i8": 6, "linear_w8": 4}  # of their dimensions


def why_not_native(model: GPT, cache: KVCache) -> str:
    """Say why this model cannot be decoded natively with this cache; empty where it can."""
    if native.isa() is None:
        return native.why_not()
    if not model.is_plain():
        return "it has parts that are not the usual ones"
    for name, layer in _linear_layers(model):
        if _kernel(layer) is None:
            return f"no kernel computes {name}, a {type(layer).__name__}"
    return ""


class NativeDecoder:
    """Compute the scores of the next token (B, V) for one token of each text (B,), and append it to the cache.

    The weights are packed when it is made: make a new one after a change to the model. The result does not depend on
    the number of `threads`. Raises KernelsError where `why_not_native` says why.
    """

    def __init__(self, model: GPT, cache: KVCache, threads: int = 1) -> None:
        if reason := why_not_native(model, cache):
            raise KernelsError(reason)
        embedding = model.embedding_layer
        self._scale = np.float32(math.sqrt(embedding.embed_dim)) if embedding.scale_embeddings else None
        self._tokens, self._positions = embedding.token_embedding.weight.data, embedding.position_vectors()
        self._cache, self._vocab_size = cache, model.vocab_size
        self._position = np.zeros(1, np.int64)
        width = model.embed_dim
        hidden = max(block.mlp.linear1.output_shape((width,))[0] for block in model.blocks)
        sizes = [width, width, *[width] * (JOINED - STREAM), 3 * width, width, hidden]
        self._is_alone = cache.batch_size == 1
        batch = min(AT_ONCE, cache.max_seq_len) if self._is_alone else cache.batch_size
        body = native.Program(self._operations(model), [4 * size for size in sizes], batch, threads)
        head = [_linear(model.lm_head, INPUT, OUTPUT)]
        scores = native.Program(head, [4 * width, 4 * model.vocab_size], cache.batch_size, threads)
        self._run, self._run_head, self.kernels = body.run, scores.run, body.isa
        self._normed = np.empty((cache.batch_size, width), np.float32)

    def step(self, tokens: NDArray[np.intp]) -> Array:
        """Return the scores after these tokens; raise ValueError where the cache is full."""
        self._cache.require_room(1)
        self._position[0] = self._cache.seq_pos
        x = self._tokens.take(tokens, axis=0)
        if self._scale is not None:
            x *= self._scale
        x += self._positions[self._cache.seq_pos]
        scores = np.empty((len(x), self._vocab_size), np.float32)
        self._run(x, self._normed)
        self._run_head(self._normed, scores)
        self._cache.advance()
        return scores

    def read(self, prompts: NDArray[np.intp], start_pos: int | None = None) -> Array:
        """Append all tokens of each prompt (B, T), T at least 1, and return the scores (B, V) after the last.

        They stand at `start_pos`, 0 for new texts, and after; by default after what the cache holds. Of one text some
        positions go through at once, of several texts one position after the other. Raises ValueError where the cache
        has no room for them.
        """
        count = prompts.shape[1]
        if start_pos is not None:
            self._cache.seq_pos = start_pos
        self._cache.require_room(count)
        at_once = AT_ONCE if self._is_alone else 1
        normed = self._normed
        for start in range(0, count, at_once):
            stop, position = min(start + at_once, count), self._cache.seq_pos
            self._position[0] = position
            x = self._tokens.take(prompts[:, start:stop].reshape(-1), axis=0)
            if self._scale is not None:
                x *= self._scale
            x += self._positions[position : position + stop - start]
            normed = np.empty_like(x)
            self._run(x, normed)
            self._cache.advance(stop - start)
        scores = np.empty((len(prompts), self._vocab_size), np.float32)
        self._run_head(normed[-len(prompts) :], scores)
        return scores

    def _operations(self, model: GPT) -> list[Operation]:
        """Return what leads from the sum of embeddings to what the head reads."""
        operations: list[Operation] = []
        for i, block in enumerate(model.blocks):
            operations += self._block(block, i, STREAM if i else INPUT)
        return [*operations, _norm(model.ln_f, STREAM, OUTPUT)]

    def _block(self, block: TransformerBlock, layer: int, stream: int) -> list[Operation]:
        """Return a block's operations, which read the sum so far from `stream` and leave it in STREAM."""
        mlp, width = block.mlp, block.embed_dim
        hidden = mlp.linear1.output_shape((width,))[0]
        return [
            _norm(block.ln1, stream),
            *self._attention(block.attention, layer),
            _linear(block.attention.out_proj, READ, NORMED),
            ("add", (stream, NORMED, STREAM), (width, 0), (), ()),
            _norm(block.ln2, STREAM),
            _linear(mlp.linear1, NORMED, HIDDEN),
            ("unary", (HIDDEN, HIDDEN), (hidden, GELU), (), ()),
            _linear(mlp.linear2, HIDDEN, NORMED),
            ("add", (STREAM, NORMED, STREAM), (width, 0), (), ()),
        ]

    def _attention(self, attention: MultiHeadAttention, layer: int) -> list[Operation]:
        """Return the three products and what reads them; one product where their layers are of one kind."""
        slots = QUERY, KEY, VALUE
        products = [
            _linear(projection, NORMED, slot)
            for projection, slot in zip((attention.q_proj, attention.k_proj, attention.v_proj), slots, strict=True)
        ]
        joined = _joined(products)
        if joined is not None:
            slots, products = (JOINED, JOINED, JOINED), [joined]
        keys, values, *scales = self._cache.arrays(layer)
        sizes = attention.num_heads, attention.head_dim, self._cache.max_seq_len
        dims = (*sizes, joined is not None, self._is_alone)
        kind = "attention_decode_i8" if scales else "attention_decode"
        return [*products, (kind, (*slots, READ), dims, (), (keys, values, self._position, *scales))]


def _norm(layer: LayerNorm, stream: int, after: int = NORMED) -> Operation:
    arrays = np.ascontiguousarray(layer.gamma.data), np.ascontiguousarray(layer.beta.data)
    return ("layer_norm", (stream, after), (1, layer.gamma.size), (layer.eps,), arrays)


def _linear(layer: Layer, before: int, after: int) -> Operation:
    kernel = _kernel(layer)
    assert kernel is not None  # why_not_native
    body = lower(_step(layer), kernel, None)
    return (body.kind, (before, after), body.dims, body.scalars, body.arrays)


def _joined(products: list[Operation]) -> Operation | None:
    """Return one product with the outputs of all, one after the other, or None where they differ in more than that.

    Every output is the same number as before: it is the same sum.
    """
    kind, (before, _), dims, scalars, arrays = products[0]
    by_output = _BY_OUTPUT.get(kind, 0)
    for other in products[1:]:
        are_alike = (other[0], other[3]) == (kind, scalars) and _but_outputs(other) == _but_outputs(products[0])
        if not by_output or not are_alike or not all(map(_is_same, arrays[by_output:], other[4][by_output:])):
            return None
        if any((a is None) != (b is None) for a, b in zip(arrays, other[4], strict=True)):
            return None
    outputs = [product[2][OUTPUTS] for product in products]
    parts = [[_per_output(array, n) for array in p[4][:by_output]] for p, n in zip(products, outputs, strict=True)]
    together = [None if column[0] is None else np.concatenate(column) for column in zip(*parts, strict=True)]
    sizes = list(dims)
    sizes[OUTPUTS] = sum(outputs)
    if kind in SCALES:
        sizes[SCALES[kind]] = sum(outputs)
    return (kind, (before, JOINED), tuple(sizes), scalars, (*together, *arrays[by_output:]))


def _but_outputs(product: Operation) -> tuple[int, ...]:
    """Return the dimensions but for the numbers of outputs and of their scales."""
    left_out = {OUTPUTS, SCALES.get(product[0], OUTPUTS)}
    return tuple(size for i, size in enumerate(product[2]) if i not in left_out)


def _per_output(array: Array | None, outputs: int) -> Array | None:
    """Repeat a scale that all outputs share."""
    return array if array is None or len(array) == outputs else np.repeat(array, outputs)


def _is_same(a: Array | None, b: Array | None) -> bool:
    return a is b is None or (a is not None and b is not None and np.array_equal(a, b))


def _kernel(layer: Layer) -> str | None:
    if type(layer.inference_layer()) not in LINEAR_MAPS:
        return None
    return next((kernel for kernel in kernels_of(_step(layer)) if kernel in native.kernel_names), None)


def _step(layer: Layer) -> Step:
    inner = layer.inference_layer()
    inputs, outputs = layer.config()["in_features"], layer.config()["out_features"]
    assert isinstance(inputs, int)
    assert isinstance(outputs, int)
    return Step("", (), inner, (0,), 1, (inputs,), (outputs,))


def _linear_layers(model: GPT) -> Iterable[tuple[str, Layer]]:
    for i, block in enumerate(model.blocks):
        attention = block.attention
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"blocks.{i}.attention.{name}", getattr(attention, name)
        yield f"blocks.{i}.mlp.linear1", block.mlp.linear1
        yield f"blocks.{i}.mlp.linear2", block.mlp.linear2
    yield "lm_head", model.lm_head
