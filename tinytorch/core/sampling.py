"""How the next token is chosen from a model's scores: the best one, or drawn with temperature, top-k and top-p."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be a number from 0 (greedy) on, but is {self.temperature}.")
        if self.top_k is not None and (isinstance(self.top_k, bool) or self.top_k != int(self.top_k) or self.top_k < 1):
            raise ValueError(
                f"top_k must be a whole number of at least 1, or None for all tokens, but is {self.top_k}."
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be more than 0 and at most 1, or None for no limit, but is {self.top_p}.")

    def choose(self, logits: Array, rng: np.random.Generator | None = None) -> npt.NDArray[np.intp]:
        """Return one token for each row of scores (B, V); `rng` None draws from NumPy's global state.

        One uniform number is drawn for each row, whatever the limits. Raises ValueError for scores that are no numbers.
        """
        if np.isnan(logits.max()):  # NaN wins every comparison of max
            raise ValueError("The model's scores are NaN: its weights are not usable. Was training divergent?")
        if self.temperature == 0:
            return np.asarray(logits.argmax(axis=-1))
        uniform = np.random.random_sample(len(logits)) if rng is None else rng.random(len(logits))
        p = self.probabilities(logits)
        steps = np.cumsum(p, axis=-1)
        chosen = [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(steps, uniform, strict=True)]
        return np.array(chosen, np.intp)

    def probabilities(self, logits: Array) -> npt.NDArray[np.float64]:
        """Return the distribution that a token is drawn from, float64 (B, V); 0 for tokens outside of the limits."""
        scores = logits.astype(np.float64)
        scores -= scores.max(axis=-1, keepdims=True)
        if self.temperature == 0:
            best = np.zeros_like(scores)
            best[np.arange(len(scores)), scores.argmax(axis=-1)] = 1
            return best
        with np.errstate(over="ignore"):  # a tiny temperature makes -∞ of all but the best, which is what it means
            scores /= self.temperature
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            worst_first = np.argsort(-scores, axis=-1, kind="stable")[:, int(self.top_k) :]
            np.put_along_axis(scores, worst_first, -np.inf, axis=-1)
        p = np.exp(scores)
        p /= p.sum(axis=-1, keepdims=True)
        if self.top_p is not None and self.top_p < 1:
            best_first = np.argsort(-p, axis=-1, kind="stable")
            ordered = np.take_along_axis(p, best_first, axis=-1)
            enough = np.cumsum(ordered, axis=-1) - ordered >= self.top_p  # those before it suffice already
            np.put_along_axis(p, best_first, np.where(enough, 0, ordered), axis=-1)
            p /= p.sum(axis=-1, keepdims=True)
        return p
