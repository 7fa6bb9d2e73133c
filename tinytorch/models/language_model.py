"""A GPT as a network: what passes, profiles and files need of it, under the dotted names of its layers.

A sample is a text of `context` tokens; its output is the scores after each. The layers are the GPT's own
("blocks.0.attention.q_proj"), in order of execution; others of the same meaning can take their places. As a sequence it
has one layer, the GPT, so that nothing mistakes the layers inside for a chain.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.attention import AttentionProduct, MultiHeadAttention
from tinytorch.core.embeddings import Embedding, EmbeddingLayer, PositionalEncoding, create_sinusoidal_embeddings
from tinytorch.core.layer import JSON, Layer
from tinytorch.core.layer_norm import LayerNorm
from tinytorch.core.layers import Dropout
from tinytorch.core.transformers import GPT, MLP, TransformerBlock
from tinytorch.errors import TargetError
from tinytorch.models.network import Network

__all__ = ["LEAVES", "LanguageModel"]

Shape = tuple[int, ...]

# What only a language model is made of, beside the leaves of other networks.
LEAVES: dict[str, type[Layer]] = {
    "AttentionProduct": AttentionProduct,
    "Embedding": Embedding,
    "LayerNorm": LayerNorm,
    "PositionalEncoding": PositionalEncoding,
}

NO_POSITIONS = "none"  # in a file, where nothing is no text
_MOST_POSITIONS = 1 << 22  # values of a table of sinusoids, which is computed and not stored
_MOST_BLOCKS = 512
# A block's layers in order of execution: (owner, attribute); an empty owner is the block.
_BLOCK = (
    ("", "ln1"),
    ("attention", "q_proj"),
    ("attention", "k_proj"),
    ("attention", "v_proj"),
    ("attention", "product"),
    ("attention", "out_proj"),
    ("", "dropout"),
    ("", "ln2"),
    ("mlp", "linear1"),
    ("mlp", "gelu"),
    ("mlp", "linear2"),
    ("mlp", "dropout"),
)
# Places that only layers of one type fit in; in the others any layer of the right shapes does.
_TYPES: dict[str, type[Layer]] = {
    "dropout": Dropout,
    "ln1": LayerNorm,
    "ln2": LayerNorm,
    "ln_f": LayerNorm,
    "pos_encoding": PositionalEncoding,
    "product": AttentionProduct,
    "token_embedding": Embedding,
}
_FACTS = ("vocab_size", "embed_dim", "num_layers", "num_heads", "max_seq_len", "dropout_prob")


class LanguageModel(Network):
    """Run `gpt` on texts (N, context); `context` is its max_seq_len unless given.

    Raises ValueError for a context that it does not have and for layers whose shapes do not fit.
    """

    def __init__(self, gpt: GPT, context: int | None = None) -> None:
        self.gpt = gpt
        super().__init__({"gpt": gpt}, (gpt.max_seq_len if context is None else context,))
        self.named_shapes()

    def config(self) -> dict[str, JSON]:
        """Return the GPT's sizes and the input shape."""
        facts = {name: getattr(self.gpt, name) for name in _FACTS}
        positions = self.gpt.embedding_layer.pos_encoding_type or NO_POSITIONS
        return {**facts, "pos_encoding": positions, "input_shape": list(self.input_shape)}

    def parts(self) -> dict[str, Layer]:
        """Return the layers by dotted name, in order of execution; a network in the place of one counts as one."""
        return {name: getattr(owner, place) for name, (owner, place) in _places(self.gpt).items()}

    @classmethod
    def from_children(cls, config: Mapping[str, Any], children: Mapping[str, Layer]) -> Self:
        """Build the model of these layers; the inverse of `config` and `parts`.

        Raises ValueError for layers that are missing, too many, or of another type or shape than their place needs.
        """
        facts = {name: value for name, value in config.items() if name != "input_shape"}
        gpt = _empty_gpt(**facts)
        places = _places(gpt)
        if places.keys() != children.keys():
            raise ValueError(f"a LanguageModel of {gpt.num_layers} blocks has the layers {', '.join(places)}")
        for name, (owner, place) in places.items():
            wanted = _TYPES.get(place, Layer)
            if not isinstance(children[name], wanted):
                raise ValueError(f"{name} must be a {wanted.__name__}, not a {type(children[name]).__name__}")
            _check_size(name, children[name], gpt)
            setattr(owner, place, children[name])
        (context,) = config["input_shape"]
        return cls(gpt, context)

    def named_shapes(self) -> list[tuple[str, Layer, Shape, Shape]]:
        """Return the leaves in order of execution: dotted name, layer, shapes of one sample before and after it.

        Raises ValueError for a layer that does not give what the next one takes.
        """
        found: list[tuple[str, Layer, Shape, Shape]] = []
        gpt, (count,) = self.gpt, self.input_shape
        stream = (count, gpt.embed_dim)
        takes = {"token_embedding": (count,), "product": (gpt.num_heads, count, gpt.embed_dim // gpt.num_heads)}
        gives = {"lm_head": (count, gpt.vocab_size), "product": takes["product"]}
        after: Shape = stream
        for name, layer in self.parts().items():
            owner, _, place = name.rpartition(".")
            is_inside_mlp = owner.endswith(".mlp") and place != "linear1"
            before = after if is_inside_mlp else takes.get(place, stream)
            after = layer.output_shape(before)
            is_free = owner.endswith(".mlp") and place != "dropout"  # as wide as it likes
            if not is_free and after != gives.get(place, stream):
                raise ValueError(f"{name} gives {after} for {before}, but {gives.get(place, stream)} is needed")
            found += _inside(name, layer, before)
        return found

    def random_samples(self, count: int) -> NDArray[np.float32]:
        """Return texts (count, context) that it can be timed on, always the same: random tokens."""
        tokens = np.random.default_rng(0).integers(0, self.gpt.vocab_size, (count, *self.input_shape))
        return tokens.astype(np.float32)

    def replaced(self, changes: Mapping[str, Layer | None]) -> Network:
        """Return a model with the leaves of these dotted names replaced; all others are shared with this one.

        Raises TargetError for a name that is not there, ValueError if the new layers do not fit, or for None: every
        place needs its layer.
        """
        names = [name for name, _ in self.named_layers()]
        for name, new in changes.items():
            if name not in names:
                raise TargetError(name, names)
            if new is None:
                raise ValueError(f"{name} cannot be left out of a LanguageModel")
        children = {}
        for name, layer in self.parts().items():
            inside = {key.removeprefix(f"{name}."): new for key, new in changes.items() if key.startswith(f"{name}.")}
            replacement = changes.get(name)
            if replacement is None:
                replacement = layer.replaced(inside) if inside and isinstance(layer, Network) else layer
            children[name] = replacement
        return self.from_children(self.config(), children)


def _check_size(name: str, layer: Layer, gpt: GPT) -> None:
    """Raise ValueError for a layer that would fit this context but not every text."""
    wanted: dict[type[Layer], JSON] = {
        Embedding: {"vocab_size": gpt.vocab_size, "embed_dim": gpt.embed_dim},
        PositionalEncoding: {"max_seq_len": gpt.max_seq_len, "embed_dim": gpt.embed_dim},
    }
    sizes = wanted.get(type(layer))
    if sizes is not None and layer.config() != sizes:
        raise ValueError(f"{name} is a {layer}, but {sizes} is needed")
    if isinstance(layer, LayerNorm) and layer.gamma.shape != (gpt.embed_dim,):
        raise ValueError(f"{name} normalizes over {layer.gamma.shape}, but ({gpt.embed_dim},) is needed")


def _inside(name: str, layer: Layer, shape: Shape) -> list[tuple[str, Layer, Shape, Shape]]:
    """Return the leaves of what stands in a place: itself, or those of a network, whose names continue."""
    if not isinstance(layer, Network):
        return [(name, layer, shape, layer.output_shape(shape))]
    fitting = copy.copy(layer)
    fitting.input_shape = shape
    return [(f"{name}.{inner}", leaf, before, after) for inner, leaf, before, after in fitting.named_shapes()]


def _places(gpt: GPT) -> dict[str, tuple[Any, str]]:
    """Return where a GPT holds its layers: (owner, attribute) by dotted name, in order of execution."""
    places: dict[str, tuple[Any, str]] = {
        "embedding_layer.token_embedding": (gpt.embedding_layer, "token_embedding"),
    }
    if gpt.embedding_layer.pos_encoding_type == "learned":
        places["embedding_layer.pos_encoding"] = (gpt.embedding_layer, "pos_encoding")
    for i, block in enumerate(gpt.blocks):
        for owner, place in _BLOCK:
            name = f"blocks.{i}.{owner}.{place}" if owner else f"blocks.{i}.{place}"
            places[name] = (getattr(block, owner) if owner else block, place)
    return places | {"ln_f": (gpt, "ln_f"), "lm_head": (gpt, "lm_head")}


def _empty_gpt(
    vocab_size: int,
    embed_dim: int,
    num_layers: int,
    num_heads: int,
    max_seq_len: int,
    dropout_prob: float,
    pos_encoding: str,
) -> GPT:
    """Return a GPT of these sizes without any of its layers; nothing large is made before there are arrays for it."""
    sizes = (vocab_size, embed_dim, num_layers, num_heads, max_seq_len)
    if any(type(size) is not int for size in sizes):  # 5.0 is written like 5 in a config, and is no length
        raise ValueError(f"a GPT's sizes are integers, not {sizes}")
    if min(sizes) < 1 or embed_dim % num_heads:
        raise ValueError("a GPT needs sizes of at least 1, and heads that divide embed_dim")
    if num_layers > _MOST_BLOCKS or (pos_encoding == "sinusoidal" and max_seq_len * embed_dim > _MOST_POSITIONS):
        raise ValueError(f"a GPT of {num_layers} blocks for {max_seq_len} positions of {embed_dim} is too large")
    if pos_encoding not in ("learned", "sinusoidal", NO_POSITIONS):
        raise ValueError(f"pos_encoding must be learned, sinusoidal or {NO_POSITIONS}, not {pos_encoding!r}")
    gpt, embedding = GPT.__new__(GPT), EmbeddingLayer.__new__(EmbeddingLayer)
    gpt.vocab_size, gpt.embed_dim, gpt.num_layers = vocab_size, embed_dim, num_layers
    gpt.num_heads, gpt.max_seq_len, gpt.dropout_prob = num_heads, max_seq_len, float(dropout_prob)
    embedding.vocab_size, embedding.embed_dim, embedding.max_seq_len = vocab_size, embed_dim, max_seq_len
    embedding.pos_encoding_type = None if pos_encoding == NO_POSITIONS else pos_encoding
    embedding.scale_embeddings, embedding.pos_encoding = False, None
    if pos_encoding == "sinusoidal":
        embedding.pos_encoding = create_sinusoidal_embeddings(max_seq_len, embed_dim)
    gpt.embedding_layer, gpt.blocks = embedding, [_empty_block(embed_dim, num_heads) for _ in range(num_layers)]
    return gpt


def _empty_block(embed_dim: int, num_heads: int) -> TransformerBlock:
    block = TransformerBlock.__new__(TransformerBlock)
    block.embed_dim, block.num_heads = embed_dim, num_heads
    block.attention, block.mlp = MultiHeadAttention.__new__(MultiHeadAttention), MLP.__new__(MLP)
    attention = block.attention
    attention.embed_dim, attention.num_heads, attention.head_dim = embed_dim, num_heads, embed_dim // num_heads
    return block
