"""How well a language model predicts a text, how sure that is, and whether two models differ on the same text.

The unit of replication is neither a token nor a window: neighbouring ones are of one topic, so their losses resemble
each other. Windows in their order are divided into some long batches, whose means are nearly independent (the method of
batch means: B. Schmeiser, Oper. Res. 30:556, 1982, who finds 10 to 30 batches best), and Student's t is taken of those.
It needs no random numbers, so anybody computes the same interval. Nothing here knows models or files.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.interval import t_interval

__all__ = ["CHANGES", "MOST_NATS", "perplexity_change", "perplexity_record"]

CHANGES = ("no significant change", "significantly worse", "significantly better")
MOST_NATS = 700.0  # of a mean loss: e to a little more is no float64
_BATCHES = 20

Losses = NDArray[np.floating[Any]]


def perplexity_record(
    losses: Losses, window_bytes: NDArray[np.integer[Any]], confidence: float = 0.95
) -> dict[str, Any]:
    """Return the record of a perplexity from the losses of all tokens in nats, (windows, context).

    `window_bytes` (windows,) are the bytes that the tokens of each window stand for; bits_per_byte, the figure that
    does not depend on the tokenizer, is None where nobody knows them. Raises ValueError for fewer than two windows and
    for losses that are no numbers from 0 to 700.
    """
    means = _window_means(losses)
    low, high = _interval(means, confidence)
    mean, size = float(means.mean()), int(window_bytes.sum())
    return {
        "perplexity": math.exp(mean),
        "interval": [math.exp(max(0.0, low)), math.exp(min(high, MOST_NATS))],
        "confidence": confidence,
        "method": "batch means",
        "mean_loss": mean,
        "bits_per_byte": mean * losses.size / math.log(2) / size if size else None,
        "tokens": int(losses.size),
        "windows": len(losses),
        "batches": min(_BATCHES, len(losses)),
        "bytes": size,
    }


def perplexity_change(baseline: Losses, candidate: Losses, confidence: float = 0.95) -> dict[str, Any]:
    """Return the ratio of two perplexities on the same windows, candidate over baseline, and what may be said of it.

    It is e to the mean difference of the losses, so what makes a window hard for both models does not count. The
    verdict is that of the interval. Raises ValueError as `perplexity_record`, and for losses that are not paired.
    """
    if baseline.shape != candidate.shape:
        raise ValueError(f"losses of shapes {baseline.shape} and {candidate.shape} are not paired")
    differences = _window_means(candidate) - _window_means(baseline)
    low, high = _interval(differences, confidence)
    verdict = CHANGES[1] if low > 0 else CHANGES[2] if high < 0 else CHANGES[0]
    return {
        "ratio": _ratio(float(differences.mean())),
        "interval": [_ratio(low), _ratio(high)],
        "confidence": confidence,
        "method": "paired batch means",
        "verdict": verdict,
    }


def _ratio(difference: float) -> float:
    return math.exp(max(-MOST_NATS, min(difference, MOST_NATS)))


def _window_means(losses: Losses) -> NDArray[np.float64]:
    if losses.ndim != 2 or len(losses) < 2 or not losses.shape[1]:
        raise ValueError(f"a perplexity needs losses (windows, context) of two or more windows, not {losses.shape}")
    if not (np.isfinite(losses).all() and losses.min() >= 0 and losses.max() <= MOST_NATS):
        raise ValueError(f"losses must be numbers from 0 to {MOST_NATS:g} nats")
    means: NDArray[np.float64] = losses.mean(axis=1, dtype=np.float64)
    return means


def _interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return Student's interval of batch means, around the mean of all values: batches may differ in size by one."""
    batches = np.array_split(values, min(_BATCHES, len(values)))
    low, high = t_interval(np.array([batch.mean() for batch in batches]), confidence)
    mean, half = float(values.mean()), (high - low) / 2
    return mean - half, mean + half
