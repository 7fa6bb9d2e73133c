"""The GPT: embeddings, blocks of attention and MLP, a last normalization, and scores of the next token.

Its context, and so the number of its positions, is that of the data. Layers have the GPT's own names:
"blocks.0.attention.q_proj", "blocks.0.mlp.linear1", "lm_head".
"""

from __future__ import annotations

import numpy as np

from tinytorch.arguments import Argument, choice, integer, number, with_defaults
from tinytorch.core.transformers import GPT
from tinytorch.models.language_model import LanguageModel
from tinytorch.models.size import check_weights

__all__ = ["ARGS", "build"]

ARGS: dict[str, Argument] = {"dropout": 0.0, "embed_dim": 128, "heads": 4, "layers": 4, "positions": "learned"}


def build(input_shape: tuple[int, ...], classes: int, rng: np.random.Generator, **args: Argument) -> LanguageModel:
    """Return the model for windows of `input_shape` (context,) and a vocabulary of `classes` entries.

    Raises ValueError for an argument that is out of range, and for samples that are no texts.
    """
    chosen = with_defaults("gpt", ARGS, args)
    layers = integer("layers", chosen["layers"], 1, 64)
    heads = integer("heads", chosen["heads"], 1, 256)
    embed_dim = integer("embed_dim", chosen["embed_dim"], 1, 8192)
    dropout = number("dropout", chosen["dropout"], 0, 1, below_high=True)
    positions = choice("positions", chosen["positions"], ("learned", "sinusoidal"))
    if embed_dim % heads:
        raise ValueError(f"embed_dim must be a multiple of heads={heads}, not {embed_dim}")
    if positions == "sinusoidal" and embed_dim % 2:
        raise ValueError(f"embed_dim must be even for positions: sinusoidal, not {embed_dim}")
    if len(input_shape) != 1:
        raise ValueError(f"a gpt reads texts, samples of shape (context,), not {input_shape}; take data: text")
    (context,) = input_shape
    tables = classes * 2 + (context if positions == "learned" else 0)
    check_weights(
        f"embed_dim={embed_dim} with layers={layers}, {classes:,} tokens and a context of {context:,}",
        embed_dim * tables + 12 * layers * embed_dim**2,
    )
    gpt = GPT(classes, embed_dim, layers, heads, context, dropout_prob=dropout, pos_encoding=positions, rng=rng)
    return LanguageModel(gpt, context)
