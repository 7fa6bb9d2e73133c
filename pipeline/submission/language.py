"""What a submission says of language models: perplexity of both, on both splits, and how far the two agree.

Computed from the losses and answers of all tokens, which are in the evidence: by the stages that build a submission,
and by the rules that doubt one. Images have none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats.perplexity import perplexity_change, perplexity_record

__all__ = ["LANGUAGE_ARRAYS", "language_section", "language_warnings"]

_SPLITS = ("validation", "test")
_SIDES = ("baseline", "optimized")
# The arrays that answers to a text have beside tokens and labels, by split.
LANGUAGE_ARRAYS = tuple(f"{split}_{what}" for split in _SPLITS for what in ("losses", "bytes"))

Arrays = Mapping[str, NDArray[Any]]


def language_section(predictions: Mapping[str, Arrays]) -> dict[str, Any] | None:
    """Return the section of a submission from the answers of each side, None for those of classifiers.

    Raises ValueError where losses have no such form, or are of other windows on each side.
    """
    if not any(name in arrays for arrays in predictions.values() for name in LANGUAGE_ARRAYS):
        return None
    section: dict[str, Any] = {side: {} for side in _SIDES}
    for side in _SIDES:
        for split in _SPLITS:
            _check(predictions[side], split)
            section[side][split] = perplexity_record(
                predictions[side][f"{split}_losses"], predictions[side][f"{split}_bytes"]
            )
    section["change"] = {split: _change(predictions, split) for split in _SPLITS}
    return section


def _change(predictions: Mapping[str, Arrays], split: str) -> dict[str, Any]:
    """Return the ratio of perplexities, and the share of places at which both models name the same token."""
    before, after = (predictions[side] for side in _SIDES)
    if not np.array_equal(before[f"{split}_bytes"], after[f"{split}_bytes"]):
        raise ValueError(f"has other bytes of the {split} windows for each model")
    found = perplexity_change(before[f"{split}_losses"], after[f"{split}_losses"])
    return {**found, "agreement": float(np.mean(before[split] == after[split]))}


def _check(arrays: Arrays, split: str) -> None:
    for name in (f"{split}_losses", f"{split}_bytes"):
        if name not in arrays:
            raise ValueError(f"has no {name} of a model, which language models have")
    losses, sizes = arrays[f"{split}_losses"], arrays[f"{split}_bytes"]
    if losses.dtype != np.float32 or sizes.dtype != np.int64 or sizes.ndim != 1:
        raise ValueError(f"has {split} losses of {losses.dtype} and bytes of {sizes.dtype}, expected float32 and int64")
    if losses.ndim != 2 or losses.size != len(arrays[split]) or len(losses) != len(sizes):
        found = f"{losses.shape} for {len(arrays[split])} answers and {len(sizes)} windows"
        raise ValueError(f"has {split} losses of shape {found}, expected one for each answer")
    if sizes.min(initial=0) < 0 or sizes.max(initial=0) > 2**31:
        raise ValueError(f"has {split} windows of no number of bytes")


def language_warnings(section: Mapping[str, Any] | None) -> list[str]:
    """Return what must be said wherever accuracy is read of a language model."""
    if section is None:
        return []
    return [
        "accuracy: it is that of the next token, whose interval and test take tokens as independent of each other, "
        "which those of one text are not; the perplexity's interval knows that"
    ]
