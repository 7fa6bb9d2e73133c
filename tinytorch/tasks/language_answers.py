"""Ask a language model for the next token at every place of a text, and for the probability it gave the right one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.tokens import TextSplit
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.runtime.session import InferenceSession

__all__ = ["answers", "batch_for"]

_TOKENS = 2048  # at once: their scores for 1,000 entries are 8 MB
_MOST_NATS = 700.0  # of a token: what e to it is, is still a number


def batch_for(model: Network) -> int:
    """Return how many windows to ask for at once."""
    return max(1, _TOKENS // model.input_shape[0])


def answers(session: InferenceSession, split: TextSplit) -> dict[str, NDArray[Any]]:
    """Return for n windows the likeliest tokens "" and the true ones "_labels", int64 (n * context,).

    "_losses" is -log p of each true token, float32 (n, context), and "_bytes" the bytes that the true tokens of each
    window stand for, int64 (n,). Each token is predicted from those before it in its window. Raises TinyTorchError for
    a model whose answers are no probabilities.
    """
    inputs, targets = split.images(), split.windows()[1]
    predicted, losses = np.empty(targets.shape, np.int64), np.empty(targets.shape, np.float32)
    for start in range(0, len(inputs), session.batch):
        part = slice(start, start + session.batch)
        scores = session.run(inputs[part])
        predicted[part] = scores.argmax(axis=-1)
        losses[part] = _losses(scores, targets[part])
    if not float(losses.max()) <= _MOST_NATS:  # NaN, too
        raise TinyTorchError(
            f"the model's answers are no probabilities: a token has a loss of {losses.max()} nats; guessing gives the "
            f"logarithm of the vocabulary, {np.log(len(split.token_bytes)):.3g}"
        )
    labels = targets.ravel().astype(np.int64)
    return {"": predicted.ravel(), "_labels": labels, "_losses": losses, "_bytes": split.window_bytes()}


def _losses(scores: NDArray[np.float32], targets: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return log Σeˣ - x of the target; the maximum is taken out first to avoid overflow."""
    right = np.take_along_axis(scores, targets[..., np.newaxis].astype(np.intp), axis=-1)[..., 0]
    largest = scores.max(axis=-1)
    exponentials = np.exp(scores - largest[..., np.newaxis])
    found: NDArray[np.float32] = np.log(exponentials.sum(axis=-1)) + (largest - right)
    return np.maximum(found, np.float32(0))
