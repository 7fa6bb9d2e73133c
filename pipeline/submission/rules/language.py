"""The section of language models: what of it follows from the rest of the submission, and which losses cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.perplexity import CHANGES
from tinytorch.tasks import LANGUAGE, task_of

__all__ = ["impossible_losses", "missing_section", "stated_section"]

Broken = tuple[str, tuple[str | int, ...], str]

_SPLITS = ("validation", "test")
_SIDES = ("baseline", "optimized")
_ROOM = 1e-3  # nats: sums in float32


def missing_section(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield that perplexities are kept back, which the data of a language model give."""
    data = document["experiment"]["document"].get("data")
    name = data.get("name") if isinstance(data, dict) else None
    is_swept = any("data" in key for point in document["selection"]["points"] for key in point["point"])
    if isinstance(name, str) and task_of(name) == LANGUAGE and "language" not in document and not is_swept:
        yield "R037", ("language",), "found none, expected the perplexities of both models: the data are a text"


def impossible_losses(
    predictions: Mapping[str, Mapping[str, NDArray[Any]]],
    correct: Mapping[str, Mapping[str, NDArray[np.bool_]]],
    classes: int,
) -> Iterator[Broken]:
    """Yield losses that no model with these answers has; forms and values have been checked before.

    The likeliest of V tokens has a probability of 1/V at least, and one that is not the likeliest 1/2 at most.
    """
    most, least = math.log(classes) + _ROOM, math.log(2) - _ROOM
    for side in _SIDES:
        for split in _SPLITS:
            losses, is_right = predictions[side][f"{split}_losses"].ravel(), correct[side][split]
            count = int(np.count_nonzero(np.where(is_right, losses > most, losses < least)))
            if count:
                message = (
                    f"found {count} of {len(losses)} losses that contradict the answers, expected at most "
                    f"{most:.4g} nats where the token is named, and at least {least:.4g} where another one is"
                )
                yield "R037", ("language", side, split), message


def stated_section(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section as it has to be, given its mean losses, counts and intervals; None where there is none.

    Raises ValueError for an interval that does not hold its figure.
    """
    stated = document.get("language")
    if stated is None:
        return None
    section: dict[str, Any] = {side: {split: _record(stated[side][split]) for split in _SPLITS} for side in _SIDES}
    section["change"] = {}
    for split in _SPLITS:
        before, after = (section[side][split]["mean_loss"] for side in _SIDES)
        change = stated["change"][split]
        ratio = math.exp(max(-700.0, min(after - before, 700.0)))
        _check(ratio, change["interval"])
        section["change"][split] = {**change, "ratio": ratio, "verdict": _verdict(change)}
    return section


def _record(stated: Mapping[str, Any]) -> dict[str, Any]:
    mean, size = stated["mean_loss"], stated["bytes"]
    bits = mean * stated["tokens"] / math.log(2) / size if size else None
    found = {**stated, "perplexity": math.exp(mean), "bits_per_byte": bits}
    _check(found["perplexity"], found["interval"])
    return found


def _verdict(change: Mapping[str, Any]) -> str:
    """Return what the interval says; a bound of just 1 may be a little more or less that no number shows."""
    low, high = change["interval"]
    if 1 in (low, high):
        return str(change["verdict"])
    return CHANGES[1] if low > 1 else CHANGES[2] if high < 1 else CHANGES[0]


def _check(value: float, interval: list[float]) -> None:
    if not interval[0] <= value <= interval[1]:
        raise ValueError(f"found an interval {interval} of a perplexity or ratio of {value}, which it does not hold")
