"""How the perplexity on the test split differs between two submissions of language models.

With the losses of both, which evidence has, windows are compared in pairs, as within one submission; without them, two
intervals of which each knows its text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.stats.independent import independent_difference
from pipeline.stats.perplexity import CHANGES, perplexity_change
from pipeline.submission.accuracy_change import Pair, same_items

__all__ = ["LossChange", "loss_change", "not_the_same_text"]

Document = Mapping[str, Any]

_NO_CHANGE, _WORSE, _BETTER = CHANGES


@dataclass(frozen=True)
class LossChange:
    """Second perplexity over first, as within a submission above 1 where it is worse; interval, verdict and origin."""

    ratio: float
    interval: tuple[float, float]
    verdict: str
    reason: str


def not_the_same_text(first: Document, second: Document) -> str:
    """Return why the perplexities of two submissions of language models cannot be compared, "" if they can."""
    tokens = [document["language"]["optimized"]["test"]["tokens"] for document in (first, second)]
    if not same_items(first, second) or tokens[0] != tokens[1]:
        return "the test texts differ, or what their tokens are; bits per byte would compare"
    if not all(1 <= low <= value <= high for value, (low, high) in _stated(first, second)):
        return "an interval does not hold its perplexity, or goes below 1, which no perplexity is"
    return ""


def loss_change(first: Document, second: Document, answers: Pair = (None, None)) -> LossChange:
    """Compare two submissions for which `not_the_same_text` says nothing."""
    losses = [answered.losses if answered else None for answered in answers]
    if losses[0] is not None and losses[1] is not None and losses[0].shape == losses[1].shape:
        found = perplexity_change(losses[0], losses[1])
        low, high = found["interval"]
        return LossChange(found["ratio"], (low, high), found["verdict"], "the same windows, compared in pairs")
    (before, (low, high)), (after, (least, most)) = _stated(first, second)
    intervals = (math.log(low), math.log(high)), (math.log(least), math.log(most))
    estimate, (down, up) = independent_difference(math.log(before), intervals[0], math.log(after), intervals[1])
    verdict = _WORSE if down > 0 else _BETTER if up < 0 else _NO_CHANGE
    reason = "intervals of two independent perplexities, as if the texts were different ones"
    return LossChange(math.exp(estimate), (math.exp(down), math.exp(up)), verdict, reason)


def _stated(first: Document, second: Document) -> list[tuple[float, tuple[float, float]]]:
    records = [document["language"]["optimized"]["test"] for document in (first, second)]
    return [(record["perplexity"], (record["interval"][0], record["interval"][1])) for record in records]
