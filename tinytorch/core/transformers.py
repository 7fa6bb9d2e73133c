"""The transformer: pre-norm blocks of causal attention and MLP, and the GPT made of them [Radford et al., 2019].

Tokens are (batch, T); every layer between is (batch, T, embed_dim).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch.core.activations import GELU
from tinytorch.core.attention import AttentionProduct, Mask, MultiHeadAttention, Past, causal
from tinytorch.core.decoding import Decoder
from tinytorch.core.embeddings import Embedding, EmbeddingLayer, Ids, PositionalEncoding, checked_ids
from tinytorch.core.function import Array
from tinytorch.core.kv_cache import KVCache
from tinytorch.core.layer import JSON, Layer, evaluating, walk
from tinytorch.core.layer_norm import LayerNorm
from tinytorch.core.layers import Dropout, Linear
from tinytorch.core.sampling import Sampling
from tinytorch.core.tensor import Tensor
from tinytorch.runtime.decoding import NativeDecoder, why_not_native

__all__ = ["GPT", "LayerNorm", "MLP", "TinyGPT", "TransformerBlock", "create_causal_mask"]

Scores: TypeAlias = "Callable[[int], Array]"  # what the model says about the token at a position, given all before it


def create_causal_mask(seq_len: int) -> Tensor:
    """Return (1, seq_len, seq_len): 1 where a position may read, itself and all before, 0 above the diagonal."""
    return Tensor(causal(seq_len)[np.newaxis])


class MLP(Layer):
    """linear2(gelu(linear1(x))), then dropout; `hidden_dim` is 4·embed_dim unless given."""

    def __init__(
        self,
        embed_dim: int,
        hidden_dim: int | None = None,
        dropout_prob: float = 0.1,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        hidden = 4 * embed_dim if hidden_dim is None else hidden_dim
        self.linear1: Layer = Linear(embed_dim, hidden, rng=rng)
        self.gelu = GELU()
        self.linear2: Layer = Linear(hidden, embed_dim, rng=rng)
        self.dropout = Dropout(dropout_prob, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to the last axis."""
        return self.dropout.forward(self.linear2.forward(self.gelu.forward(self.linear1.forward(x))))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return self.linear2.output_shape(self.linear1.output_shape(input_shape))

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return those of both linear layers."""
        return self.linear1.macs(input_shape) + self.linear2.macs(self.linear1.output_shape(input_shape))


class TransformerBlock(Layer):
    """x + attention(ln1(x)), then x + mlp(ln2(x)): normalization before each part [Xiong et al., 2020].

    The MLP is `ff_dim` wide, else mlp_ratio·embed_dim. Dropout with `dropout_prob` ends each part while training.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_ratio: float = 4,
        ff_dim: int | None = None,
        dropout_prob: float = 0.1,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.embed_dim, self.num_heads = int(embed_dim), int(num_heads)
        self.attention = MultiHeadAttention(embed_dim, num_heads, rng=rng)
        self.ln1, self.ln2 = LayerNorm(embed_dim), LayerNorm(embed_dim)
        self.mlp = MLP(embed_dim, int(embed_dim * mlp_ratio) if ff_dim is None else ff_dim, dropout_prob, rng=rng)
        self.dropout = Dropout(dropout_prob, rng=rng)

    def forward(self, x: Tensor, mask: Mask | None = None, past: Past | None = None) -> Tensor:
        """Add both parts to x (B, T, embed_dim); `mask` and `past` are the attention's."""
        x = x + self.dropout.forward(self.attention.forward(self.ln1.forward(x), mask, past))
        return x + self.mlp.forward(self.ln2.forward(x))

    def is_plain(self) -> bool:
        """Say whether the parts are those that a decoder computes by itself; linear layers it takes of any kind."""
        if type(self.attention) is not MultiHeadAttention or type(self.mlp) is not MLP:
            return False
        is_usual = type(self.attention.product) is AttentionProduct and type(self.mlp.gelu) is GELU
        return is_usual and type(self.ln1) is type(self.ln2) is LayerNorm

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return self.attention.output_shape(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return those of attention and MLP."""
        return self.attention.macs(input_shape) + self.mlp.macs(input_shape)


class GPT(Layer):
    """A language model: embeddings, `num_layers` blocks, a last normalization, and scores for every token.

    Position t sees tokens 0 to t. `dropout_prob` is that of the blocks while training; `pos_encoding` is "learned" or
    "sinusoidal". What the two projections that end a block's parts start with is divided by √(2·num_layers), so that
    the sum over all blocks stays as large as its parts [Radford et al., 2019, section 2.3]. `rng` None draws from
    NumPy's global state. Raises ValueError for sizes that do not fit.
    """

    _kv_cache: KVCache | None = None
    _cache_enabled: bool = False

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        max_seq_len: int = 1024,
        *,
        dropout_prob: float = 0.0,
        pos_encoding: str | None = "learned",
        rng: np.random.Generator | None = None,
    ) -> None:
        if num_layers < 1:
            raise ValueError(f"A GPT needs at least one layer, but num_layers is {num_layers}.")
        self.vocab_size, self.embed_dim, self.num_layers = int(vocab_size), int(embed_dim), int(num_layers)
        self.num_heads, self.max_seq_len = int(num_heads), int(max_seq_len)
        self.dropout_prob = float(dropout_prob)
        self.embedding_layer = EmbeddingLayer(vocab_size, embed_dim, max_seq_len, pos_encoding, rng=rng)
        self.blocks = [
            TransformerBlock(embed_dim, num_heads, dropout_prob=dropout_prob, rng=rng) for _ in range(num_layers)
        ]
        self.ln_f = LayerNorm(embed_dim)
        self.lm_head: Layer = Linear(embed_dim, vocab_size, bias=False, rng=rng)
        for block in self.blocks:
            for layer in (block.attention.out_proj, block.mlp.linear2):
                layer.parameters()[0].data *= np.float32(1 / math.sqrt(2 * num_layers))

    def forward(self, tokens: Ids, start_pos: int = 0) -> Tensor:
        """Return scores (B, T, vocab_size) of the token after each of (B, T), which stand at `start_pos` and after.

        While a cache is enabled (`enable_kv_cache`), tokens from position 0 on begin a new text in it, and
        `start_pos` > 0 continues that text: those tokens see all before them. Without one, a part of a text sees only
        itself. Raises ValueError for another shape, ids that are not there, and positions from max_seq_len on.
        """
        past = self._kv_cache if self._cache_enabled else None
        return self.lm_head.forward(self.ln_f.forward(self._hidden(tokens, start_pos, past)))

    def _hidden(self, tokens: Ids, start_pos: int, cache: KVCache | None) -> Tensor:
        ids = checked_ids("GPT", tokens, self.vocab_size)
        if ids.ndim != 2 or not ids.size:
            raise ValueError(
                f"GPT needs tokens of shape (batch, T) with at least one, but got {ids.shape}. For a single text write "
                "Tensor([ids])."
            )
        if cache is not None:
            cache = _positioned(cache, len(ids), start_pos)
        x = self.embedding_layer.forward(ids, start_pos)
        count = ids.shape[1]
        mask = causal(count) if cache is None else None
        for i, block in enumerate(self.blocks):
            x = block.forward(x, mask, None if cache is None else Past(cache, i))
        if cache is not None:
            cache.advance(count)
        return x

    def generate(
        self,
        prompt_tokens: Ids,
        max_new_tokens: int = 50,
        temperature: float = 1.0,
        *,
        top_k: int | None = None,
        top_p: float | None = None,
        rng: np.random.Generator | None = None,
        cache: str | None = "float32",
        threads: int = 1,
    ) -> Tensor:
        """Continue each prompt (B, T) by `max_new_tokens` tokens: (B, T + max_new_tokens).

        `temperature` 0 always takes the best token, the same bits each time; otherwise a token is drawn (`Sampling`)
        from `rng` or, if that is None, from NumPy's global state. `cache` says how keys and values of earlier positions
        are kept: "float32", "int8", or None to compute them again for every token; a cache that is enabled for as many
        texts is used as it is. Native kernels decode where they can (`why_not_native`), on `threads` threads, which
        change nothing but the time. Dropout is off. Raises ValueError for a setting out of range and if the text would
        be longer than max_seq_len.
        """
        ids = checked_ids("GPT.generate", _rectangle(prompt_tokens), self.vocab_size)
        sampling = Sampling(temperature, top_k, top_p)
        if not isinstance(max_new_tokens, Integral) or not isinstance(threads, Integral) or threads < 1:
            raise ValueError(
                f"max_new_tokens and threads must be whole numbers, but are {max_new_tokens!r} and {threads!r}."
            )
        if ids.ndim != 2 or not ids.size or max_new_tokens < 0:
            raise ValueError(
                f"generate() needs prompts of shape (batch, T) with at least one token and max_new_tokens from 0 on, "
                f"but got {ids.shape} and {max_new_tokens}. For a single text write Tensor([ids])."
            )
        batch, count = ids.shape
        if count + max_new_tokens > self.max_seq_len:
            raise ValueError(
                f"A prompt of {count} tokens and {max_new_tokens} new ones are more than the model's max_seq_len = "
                f"{self.max_seq_len} positions: {max(0, self.max_seq_len - count)} new tokens fit."
            )
        text = np.empty((batch, count + max_new_tokens), np.intp)
        text[:, :count] = ids
        with evaluating(walk(self)):
            scores = self._uncached_scores(text) if cache is None else self._cached_scores(text, count, cache, threads)
            for position in range(count, text.shape[1]):
                text[:, position] = sampling.choose(scores(position), rng)
        return Tensor(text)

    def _uncached_scores(self, text: npt.NDArray[np.intp]) -> Scores:
        return lambda position: self._scores(self._hidden(text[:, :position], 0, None))

    def is_plain(self) -> bool:
        """Say whether all parts are those that a decoder computes by itself."""
        embedding = self.embedding_layer
        is_usual = type(embedding) is EmbeddingLayer and type(embedding.token_embedding) is Embedding
        is_usual = is_usual and type(embedding.pos_encoding) in (PositionalEncoding, Tensor, type(None))
        are_plain = all(type(block) is TransformerBlock and block.is_plain() for block in self.blocks)
        return is_usual and are_plain and type(self.ln_f) is LayerNorm

    def _decoder(self, cache: KVCache, threads: int) -> Decoder | NativeDecoder:
        return Decoder(self, cache) if why_not_native(self, cache) else NativeDecoder(self, cache, threads)

    def _cached_scores(self, text: npt.NDArray[np.intp], prompt: int, dtype: str, threads: int) -> Scores:
        cache = self._kv_cache if self._cache_enabled else None
        if cache is None or cache.batch_size != len(text):
            cache = self.new_cache(len(text), text.shape[1], dtype)
        decoder = self._decoder(cache, threads) if self.is_plain() and text.shape[1] - prompt > 1 else None
        step = None if decoder is None else decoder.step

        def scores(position: int) -> Array:
            # Read in NumPy, a prompt attends to its own keys and values before a cache of int8 rounds them.
            if (
                position == prompt
                and isinstance(decoder, NativeDecoder)
                and len(text) == 1
                and cache.dtype == "float32"
            ):
                return decoder.read(text[:, :prompt], 0)
            if position == prompt:
                return self._scores(self._hidden(text[:, :prompt], 0, cache))
            if step is not None:
                return step(text[:, position - 1])
            return self._scores(self._hidden(text[:, position - 1 : position], position - 1, cache))

        return scores

    def scores_after(self, tokens: Ids, start_pos: int = 0, cache: KVCache | None = None) -> Array:
        """Return the scores (B, vocab_size) of the token after these (B, T) only.

        With a `cache` the tokens are appended to it from `start_pos` on and see what it holds before. Raises ValueError
        as `forward` does.
        """
        return self._scores(self._hidden(tokens, start_pos, cache))

    def _scores(self, hidden: Tensor) -> Array:
        """Return the scores (B, V) after the last position only."""
        return self.lm_head.forward(self.ln_f.forward(Tensor._wrap(hidden.data[:, -1]))).data

    def new_cache(self, batch_size: int = 1, max_seq_len: int | None = None, dtype: str = "float32") -> KVCache:
        """Return an empty cache for this model, for max_seq_len positions unless fewer are asked for."""
        length = self.max_seq_len if max_seq_len is None else max_seq_len
        head_dim = self.embed_dim // self.num_heads
        return KVCache(batch_size, length, self.num_layers, self.num_heads, head_dim, dtype=dtype)

    def config(self) -> dict[str, JSON]:
        """Return the sizes."""
        names = ("vocab_size", "embed_dim", "num_layers", "num_heads", "max_seq_len", "dropout_prob")
        return {**{name: getattr(self, name) for name in names}, "pos_encoding": self.embedding_layer.pos_encoding_type}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (T, vocab_size) for samples of T tokens."""
        if len(input_shape) != 1 or not 1 <= input_shape[0] <= self.max_seq_len:
            raise ValueError(f"a GPT takes samples of 1 to {self.max_seq_len} tokens, not of shape {input_shape}")
        return (input_shape[0], self.vocab_size)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiply-accumulates for one text of (T,) tokens, all pairs of positions counted."""
        inner = (input_shape[0], self.embed_dim)
        return sum(block.macs(inner) for block in self.blocks) + self.lm_head.macs(inner)


TinyGPT = GPT


def _positioned(cache: KVCache, batch: int, start_pos: int) -> KVCache | None:
    """Return the cache set to `start_pos`; None at the beginning of a text of another batch than it is made for."""
    if start_pos == 0:
        cache.reset()
        return cache if cache.batch_size == batch else None
    if batch != cache.batch_size or start_pos > cache.seq_pos:
        raise ValueError(
            f"The cache holds {cache.seq_pos} positions of {cache.batch_size} texts: it cannot continue {batch} texts "
            f"at position {start_pos}. Run the tokens before it first, from start_pos=0 on."
        )
    cache.seq_pos = start_pos
    return cache


def _rectangle(prompts: Ids) -> Ids:
    if isinstance(prompts, list | tuple) and len({np.shape(prompt) for prompt in prompts}) > 1:
        lengths = ", ".join(str(np.shape(prompt)) for prompt in prompts[:5])
        raise ValueError(
            f"generate() needs prompts of equal length, but theirs are {lengths}. Call it once for each length: there "
            "is no padding that the model was trained with."
        )
    return prompts
