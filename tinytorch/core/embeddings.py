"""Embeddings: token ids to vectors, and where in the text each stands.

Ids come as a Tensor, an array or a list of whole numbers; outputs are (..., embed_dim).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tinytorch.core.arithmetic import AddBackward
from tinytorch.core.function import Array
from tinytorch.core.layer import JSON, Layer, Leaf, checked_config, checked_state
from tinytorch.core.shaping import EmbeddingBackward
from tinytorch.core.tensor import Tensor

__all__ = [
    "Embedding",
    "EmbeddingLayer",
    "PositionalEncoding",
    "checked_ids",
    "create_sinusoidal_embeddings",
    "sinusoids",
]

STD = 0.02  # of new embeddings [Radford et al., 2018, section 4.1]
LONGEST_WAVE = 10000.0  # Vaswani et al., 2017, section 3.5
POSITIONS = ("learned", "sinusoidal", None)

Ids = Tensor | npt.ArrayLike


def checked_ids(what: str, tokens: Ids, vocab_size: int) -> npt.NDArray[np.intp]:
    """Return token ids as an array of integers; raise ValueError unless all are whole numbers below `vocab_size`."""
    values = np.asarray(tokens.data if isinstance(tokens, Tensor) else tokens)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{what} needs whole numbers, but got {values.dtype}: encode the text by a tokenizer first.")
    with np.errstate(invalid="ignore"):  # NaN becomes some integer, unequal to itself
        ids = values.astype(np.intp)
    if values.size and (
        ids.min() < 0 or ids.max() >= vocab_size or (values.dtype.kind == "f" and (ids != values).any())
    ):
        wrong = values[(values < 0) | (values >= vocab_size) | (ids != values)]
        raise ValueError(
            f"{what} has the ids 0 to {vocab_size - 1}, but among {values.size} tokens of shape {values.shape} are "
            f"{', '.join(f'{value:g}' for value in np.unique(wrong)[:5])}. Use the tokenizer whose vocab_size it was "
            "made for."
        )
    return ids


class Embedding(Leaf):
    """A table of vectors, one for each id: `weight` is (vocab_size, embed_dim), drawn from N(0, 0.02²).

    `rng` None draws from NumPy's global state.
    """

    def __init__(self, vocab_size: int, embed_dim: int, *, rng: np.random.Generator | None = None) -> None:
        if vocab_size < 1 or embed_dim < 1:
            raise ValueError(f"Embedding needs at least one id and one dimension, got {vocab_size} x {embed_dim}.")
        self.vocab_size, self.embed_dim = int(vocab_size), int(embed_dim)
        self.weight = _drawn((vocab_size, embed_dim), rng)

    def forward(self, x: Ids) -> Tensor:
        """Look the vectors up: (...) -> (..., embed_dim); raise ValueError for an id that is not there."""
        return EmbeddingBackward.run(self.weight, indices=checked_ids(repr(self), x, self.vocab_size))

    def parameters(self) -> list[Tensor]:
        """Return [weight]."""
        return [self.weight]

    def config(self) -> dict[str, JSON]:
        """Return vocab_size and embed_dim."""
        return {"vocab_size": self.vocab_size, "embed_dim": self.embed_dim}

    def state(self) -> dict[str, Array]:
        """Return the table."""
        return {"weight": self.weight.data}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around a copy of this table."""
        layer = cls.__new__(cls)
        with checked_config(cls, config):
            layer.vocab_size, layer.embed_dim = int(config["vocab_size"]), int(config["embed_dim"])
        layer.weight = checked_state(cls, state, {"weight": (layer.vocab_size, layer.embed_dim)})["weight"]
        return layer

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Add an axis of embed_dim."""
        return (*input_shape, self.embed_dim)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return 0: looking up multiplies nothing."""
        return 0


class PositionalEncoding(Leaf):
    """Add a learned vector for each position: `position_embeddings` is (max_seq_len, embed_dim)."""

    def __init__(self, max_seq_len: int, embed_dim: int, *, rng: np.random.Generator | None = None) -> None:
        if max_seq_len < 1 or embed_dim < 1:
            raise ValueError(f"PositionalEncoding needs a position and a dimension, got {max_seq_len} x {embed_dim}.")
        self.max_seq_len, self.embed_dim = int(max_seq_len), int(embed_dim)
        self.position_embeddings = _drawn((max_seq_len, embed_dim), rng)

    def forward(self, x: Tensor, start_pos: int = 0) -> Tensor:
        """Add the vectors of positions `start_pos` on to x (B, T, embed_dim), or to (T, embed_dim).

        Raises ValueError for another shape and for positions from max_seq_len on.
        """
        if x.ndim not in (2, 3) or x.shape[-1] != self.embed_dim:
            raise ValueError(
                f"PositionalEncoding({self.max_seq_len}, {self.embed_dim}) got an input of shape {x.shape}, but needs "
                f"(batch, positions, {self.embed_dim})."
            )
        stop = _checked_stop(start_pos, x.shape[-2], self.max_seq_len)
        return AddBackward.run(x, self.position_embeddings[start_pos:stop])

    def parameters(self) -> list[Tensor]:
        """Return [position_embeddings]."""
        return [self.position_embeddings]

    def config(self) -> dict[str, JSON]:
        """Return max_seq_len and embed_dim."""
        return {"max_seq_len": self.max_seq_len, "embed_dim": self.embed_dim}

    def state(self) -> dict[str, Array]:
        """Return the vectors."""
        return {"position_embeddings": self.position_embeddings.data}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around a copy of these vectors."""
        layer = cls.__new__(cls)
        with checked_config(cls, config):
            layer.max_seq_len, layer.embed_dim = int(config["max_seq_len"]), int(config["embed_dim"])
        shapes = {"position_embeddings": (layer.max_seq_len, layer.embed_dim)}
        layer.position_embeddings = checked_state(cls, state, shapes)["position_embeddings"]
        return layer

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return tuple(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return 0: elementwise."""
        return 0


def sinusoids(max_seq_len: int, embed_dim: int) -> Array:
    """Return sin(t/10000^(2i/E)) in columns 2i and the cosine in 2i + 1, float32 (max_seq_len, embed_dim).

    [Vaswani et al., 2017, section 3.5]; an odd embed_dim ends with a sine.
    """
    position = np.arange(max_seq_len, dtype=np.float64)[:, np.newaxis]
    rate = np.exp(np.arange(0, embed_dim, 2) * (-math.log(LONGEST_WAVE) / embed_dim))
    table = np.empty((max_seq_len, embed_dim), np.float32)
    table[:, 0::2] = np.sin(position * rate)
    table[:, 1::2] = np.cos(position * rate[: embed_dim // 2])
    return table


def create_sinusoidal_embeddings(max_seq_len: int, embed_dim: int) -> Tensor:
    """Return the fixed positions of `sinusoids` as a Tensor (max_seq_len, embed_dim) that wants no gradient."""
    return Tensor(sinusoids(max_seq_len, embed_dim))


class EmbeddingLayer(Layer):
    """Token vectors plus positions: `pos_encoding` is "learned", "sinusoidal" (fixed) or None.

    `scale_embeddings` multiplies the token vectors by √embed_dim before adding [Vaswani et al., 2017, section 3.4].
    Raises ValueError for another kind of positions.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        max_seq_len: int = 512,
        pos_encoding: str | None = "learned",
        scale_embeddings: bool = False,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        if pos_encoding not in POSITIONS:
            raise ValueError(f"pos_encoding must be 'learned', 'sinusoidal' or None, but is {pos_encoding!r}.")
        if max_seq_len < 1:
            raise ValueError(f"max_seq_len must be at least 1, but is {max_seq_len}.")
        self.vocab_size, self.embed_dim, self.max_seq_len = int(vocab_size), int(embed_dim), int(max_seq_len)
        self.pos_encoding_type, self.scale_embeddings = pos_encoding, bool(scale_embeddings)
        self.token_embedding = Embedding(vocab_size, embed_dim, rng=rng)
        self.pos_encoding: PositionalEncoding | Tensor | None = None
        if pos_encoding == "learned":
            self.pos_encoding = PositionalEncoding(max_seq_len, embed_dim, rng=rng)
        elif pos_encoding == "sinusoidal":
            self.pos_encoding = create_sinusoidal_embeddings(max_seq_len, embed_dim)

    def forward(self, tokens: Ids, start_pos: int = 0) -> Tensor:
        """Return vectors (T, embed_dim) for tokens (T,), (B, T, embed_dim) for (B, T), from position `start_pos` on.

        Raises ValueError for another number of axes, an id that is not there, and positions from max_seq_len on.
        """
        x = self.token_embedding.forward(tokens)
        if x.ndim not in (2, 3):
            raise ValueError(f"EmbeddingLayer needs tokens (T,) or (batch, T), but got shape {x.shape[:-1]}.")
        if self.scale_embeddings:
            x = x * math.sqrt(self.embed_dim)
        if self.pos_encoding is None:
            return x
        if isinstance(self.pos_encoding, PositionalEncoding):
            return self.pos_encoding.forward(x, start_pos)
        stop = _checked_stop(start_pos, x.shape[-2], self.max_seq_len)
        return AddBackward.run(x, self.pos_encoding[start_pos:stop])

    def position_vectors(self) -> Array:
        """Return what is added at each position, (max_seq_len, embed_dim); zeros without positions."""
        if self.pos_encoding is None:
            return np.zeros((self.max_seq_len, self.embed_dim), np.float32)
        is_learned = isinstance(self.pos_encoding, PositionalEncoding)
        return self.pos_encoding.position_embeddings.data if is_learned else self.pos_encoding.data  # type: ignore[union-attr]

    def config(self) -> dict[str, JSON]:
        """Return the constructor's arguments."""
        return {
            "vocab_size": self.vocab_size,
            "embed_dim": self.embed_dim,
            "max_seq_len": self.max_seq_len,
            "pos_encoding": self.pos_encoding_type,
            "scale_embeddings": self.scale_embeddings,
        }

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Add an axis of embed_dim."""
        return (*input_shape, self.embed_dim)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return 0: looking up multiplies nothing."""
        return 0


def _drawn(shape: tuple[int, int], rng: np.random.Generator | None) -> Tensor:
    draw = np.random.standard_normal if rng is None else rng.standard_normal
    return Tensor(draw(shape) * STD, requires_grad=True)


def _checked_stop(start_pos: int, count: int, max_seq_len: int) -> int:
    """Return the position after the last; raise ValueError if there is none such."""
    if start_pos < 0 or start_pos + count > max_seq_len:
        raise ValueError(
            f"{count} tokens from position {start_pos} on do not fit: there are {max_seq_len} positions "
            f"(max_seq_len). Shorten the text, or make the model for max_seq_len={start_pos + count} or more."
        )
    return start_pos + count
