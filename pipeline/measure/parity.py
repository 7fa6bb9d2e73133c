"""What a way to generate answers beside the uncached model: greedy texts, and the scores at every position of one text.

The reference text is that of the uncached model: a cached one drafts it, and one pass over the whole text without a
cache confirms each token or replaces it, as speculative decoding does [Leviathan et al., 2023].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.generating import CACHES
from pipeline.measure.model import ABSOLUTE, RELATIVE, AnswersDiffer
from tinytorch.core.transformers import GPT
from tinytorch.runtime.generation import Generation

__all__ = ["ROUNDED_CACHE", "Reading", "Reference", "allowed", "check_tokens", "read_variant", "reference"]

Ids = NDArray[np.integer[Any]]
Scores = NDArray[np.float32]

_ROUNDED = 0.05  # where layers round to 8 bits: a value between two integers goes to either, and is read ever after
ROUNDED_CACHE = 0.1  # of the largest score: keys and values within 1/254 of their vectors' largest, layer after layer


@dataclass(frozen=True)
class Reference:
    """The greedy tokens (texts, new) of a model without a cache, its scores (new, V) of each text, the largest one."""

    tokens: NDArray[np.intp]
    scores: tuple[Scores, ...]
    largest: float


@dataclass(frozen=True)
class Reading:
    """What a variant answers: its own greedy tokens, and given the reference's text the best token at each position.

    `difference` is the largest one of scores from the reference's, `own_difference` from its model's without a cache.
    """

    greedy: NDArray[np.intp]
    forced: NDArray[np.intp]
    difference: float
    own_difference: float

    def to_json(self) -> dict[str, Any]:
        """Return the record; tokens of all texts in one list."""
        return {
            "greedy": self.greedy.ravel().tolist(),
            "forced": self.forced.ravel().tolist(),
            "largest_difference": self.difference,
        }


def allowed(largest: float, rounded: bool) -> float:
    """Return by how much two ways to compute the same scores may differ, the largest of which is given."""
    return ABSOLUTE + (_ROUNDED if rounded else RELATIVE) * largest


def reference(gpt: GPT, prompts: Ids, new_tokens: int) -> Reference:
    """Return what the model answers without a cache."""
    found = [_text(gpt, prompt[np.newaxis], new_tokens) for prompt in prompts]
    largest = max(float(np.abs(scores).max()) for _, scores in found)
    if not np.isfinite(largest):
        raise AnswersDiffer("the uncached model's scores are not finite: nothing can be compared with them")
    return Reference(np.array([tokens for tokens, _ in found]), tuple(scores for _, scores in found), largest)


def _text(gpt: GPT, prompt: Ids, new_tokens: int) -> tuple[NDArray[np.intp], Scores]:
    count = prompt.shape[1]
    draft = Generation(gpt, 1, count + new_tokens)
    text = np.zeros((1, count + new_tokens), np.intp)
    text[:, :count] = prompt
    known = count
    while True:
        token = int(draft.begin(text[:, :known]).argmax()) if known < text.shape[1] else 0
        for position in range(known, text.shape[1]):
            text[0, position] = token
            if position + 1 < text.shape[1]:
                token = int(draft.step(text[:, position]).argmax())
        scores = _uncached(gpt, text, count)
        best = scores.argmax(axis=-1)
        wrong = np.flatnonzero(best != text[0, count:])
        if not len(wrong):
            return best, scores
        known = count + int(wrong[0]) + 1
        text[0, known - 1] = best[wrong[0]]


def _uncached(gpt: GPT, text: Ids, prompt: int) -> Scores:
    """Return the scores (new, V) of each token after the prompt, from one pass over all before it."""
    scores: Scores = gpt.forward(text[:, :-1]).data[0, prompt - 1 :]
    return scores


def read_variant(gpt: GPT, cache: str, prompts: Ids, truth: Reference, own: Reference, threads: int) -> Reading:
    """Return what a model answers with a kind of cache, beside the reference and its own answers without a cache."""
    if cache == "none":
        forced = [_uncached(gpt, _joined(p, t), len(p)) for p, t in zip(prompts, truth.tokens, strict=True)]
        return Reading(own.tokens, _best(forced), _largest(forced, truth.scores), 0.0)
    session = Generation(gpt, 1, prompts.shape[1] + truth.tokens.shape[1], CACHES[cache], threads)
    forced = [_forced(session, p, t) for p, t in zip(prompts, truth.tokens, strict=True)]
    mine = forced if own is truth else [_forced(session, p, t) for p, t in zip(prompts, own.tokens, strict=True)]
    greedy = [_greedy(session, prompt, truth.tokens.shape[1]) for prompt in prompts]
    return Reading(np.array(greedy), _best(forced), _largest(forced, truth.scores), _largest(mine, own.scores))


def _forced(session: Generation, prompt: Ids, tokens: Ids) -> Scores:
    """Return the scores (new, V) of each of these tokens, given the ones before it."""
    found = [session.begin(prompt[np.newaxis])[0]]
    found += [session.step(token[np.newaxis])[0] for token in tokens[:-1]]
    return np.array(found)


def _greedy(session: Generation, prompt: Ids, new_tokens: int) -> list[int]:
    found = [int(session.begin(prompt[np.newaxis]).argmax())]
    while len(found) < new_tokens:
        found.append(int(session.step(np.array(found[-1:])).argmax()))
    return found


def _joined(prompt: Ids, tokens: Ids) -> Ids:
    return np.concatenate([prompt, tokens])[np.newaxis].astype(np.intp)


def _best(scores: list[Scores]) -> NDArray[np.intp]:
    return np.array([of_text.argmax(axis=-1) for of_text in scores])


def _largest(ours: list[Scores], theirs: tuple[Scores, ...]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def check_tokens(name: str, gpt: GPT, prompts: Ids, tokens: Ids, rounded: bool, room: float = 0.0) -> None:
    """Raise AnswersDiffer unless each token that was timed is one of the best by the same model without a cache.

    Its score may be below the best by what two ways to compute it differ, and by `room` of the largest score.
    """
    for prompt, made in zip(prompts, tokens, strict=True):
        scores = _uncached(gpt, _joined(prompt, made), len(prompt))
        chosen = np.take_along_axis(scores, made[:, np.newaxis], axis=-1)[:, 0]
        largest = float(np.abs(scores).max())
        behind = scores.max(axis=-1) - chosen
        if not bool(np.all(behind <= 2 * allowed(largest, rounded) + room * largest)):
            position = int(behind.argmax())
            raise AnswersDiffer(
                f"{name}: token {position + 1} after a prompt was timed as {made[position]}, whose score is "
                f"{behind[position]:.3g} below that of the best by the same model without a cache"
            )
