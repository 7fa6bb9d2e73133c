"""The section of language models without its evidence: what of it follows from the rest of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["stated_section"]

_SPLITS = ("validation", "test")
_SIDES = ("baseline", "optimized")


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
        change = {**stated["change"][split], "ratio": math.exp(max(-700.0, min(after - before, 700.0)))}
        _check(change["ratio"], change["interval"])
        section["change"][split] = change
    return section


def _record(stated: Mapping[str, Any]) -> dict[str, Any]:
    mean, size = stated["mean_loss"], stated["bytes"]
    bits = mean * stated["tokens"] / math.log(2) / size if size else None
    found = {**stated, "perplexity": math.exp(mean), "bits_per_byte": bits}
    _check(found["perplexity"], found["interval"])
    return found


def _check(value: float, interval: list[float]) -> None:
    if not interval[0] <= value <= interval[1]:
        raise ValueError(f"found an interval {interval} of a perplexity or ratio of {value}, which it does not hold")
