"""How the next token is chosen from a model's scores: the best one, or drawn with temperature, top-k and top-p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

from tinytorch.core.function import Array

__all__ = ["Sampling"]


@dataclass(frozen=True)
class Sampling:
    """How to choose: raises ValueError for values that make no choice.

    `temperature` divides the scores; 0 takes the best (of equals the first). `top_k` keeps so many of the best tokens;
    `top_p` then keeps the fewest of the best whose probabilities add up to it [Holtzman et al., 2020].
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if not (isinstance(self.temperature, Real) and math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be a number from 0 (greedy) on, but is {self.temperature!r}.")
        is_count = isinstance(self.top_k, Integral) and not isinstance(self.top_k, bool)
        if self.top_k is not None and not (is_count and self.top_k >= 1):
            raise ValueError(f"top_k must be a whole number from 1 on, or None for all tokens, but is {self.top_k!r}.")
        if self.top_p is not None and not (isinstance(self.top_p, Real) and 0 < self.top_p <= 1):
            raise ValueError(f"top_p must be more than 0 and at most 1, or None for no limit, but is {self.top_p!r}.")

    def choose(self, logits: Array, rng: np.random.Generator | None = None) -> npt.NDArray[np.intp]:
        """Return one token for each row of scores (B, V); `rng` None draws from NumPy's global state.

        One uniform number is drawn for each row, whatever the limits. Raises ValueError for scores that are no numbers.
        """
        if np.isnan(logits.max()):  # NaN wins every comparison of max
            raise ValueError("The model's scores are NaN: its weights are not usable. Was training divergent?")
        if self.temperature == 0:
            return np.asarray(logits.argmax(axis=-1))
        uniform = np.random.random_sample(len(logits)) if rng is None else rng.random(len(logits))
        tokens, p = self._candidates(logits)
        steps = np.cumsum(p, axis=-1)
        places = [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(steps, uniform, strict=True)]
        chosen: npt.NDArray[np.intp] = np.take_along_axis(tokens, np.array(places, np.intp)[:, np.newaxis], axis=-1)[
            :, 0
        ]
        return chosen

    def probabilities(self, logits: Array) -> npt.NDArray[np.float64]:
        """Return the distribution that a token is drawn from, float64 (B, V); 0 for tokens outside of the limits."""
        p = np.zeros(logits.shape)
        if self.temperature == 0:
            p[np.arange(len(p)), logits.argmax(axis=-1)] = 1
        else:
            np.put_along_axis(p, *self._candidates(logits), axis=-1)
        return p

    def _candidates(self, logits: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return the tokens that may be drawn and their probabilities, both (B, n), best first if there is a limit."""
        scores = logits.astype(np.float64)
        scores -= scores.max(axis=-1, keepdims=True)
        with np.errstate(over="ignore"):  # a tiny temperature makes -∞ of all but the best, which is what it means
            scores /= self.temperature
        if self.top_k is None and self.top_p is None:
            tokens = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        else:
            tokens = _best_first(scores, scores.shape[1] if self.top_k is None else int(self.top_k))
            scores = np.take_along_axis(scores, tokens, axis=-1)
        p: npt.NDArray[np.float64] = np.exp(scores)
        p /= p.sum(axis=-1, keepdims=True)
        if self.top_p is not None and self.top_p < 1:
            p[np.cumsum(p, axis=-1) - p >= self.top_p] = 0  # those before it suffice already
            p /= p.sum(axis=-1, keepdims=True)
        return tokens, p


def _best_first(scores: Array, count: int) -> npt.NDArray[np.intp]:
    """Return the places of the `count` largest in each row, largest first, of equals the first; all if there are fewer.

    Only those are sorted, not a vocabulary of 50,000 for each token.
    """
    if count >= scores.shape[1]:
        return np.argsort(-scores, axis=-1, kind="stable")
    least = np.partition(scores, -count, axis=-1)[:, -count, np.newaxis]
    is_equal = scores == least
    missing = count - np.count_nonzero(scores > least, axis=-1)[:, np.newaxis]
    is_kept = (scores > least) | (is_equal & (np.cumsum(is_equal, axis=-1) <= missing))
    places = np.nonzero(is_kept)[1].reshape(len(scores), count)
    order = np.argsort(-np.take_along_axis(scores, places, axis=-1), axis=-1, kind="stable")
    return np.take_along_axis(places, order, axis=-1)
