"""The judge stage: read the goals of one point on the validation split, for a search to learn from.

It decides by the very rule that chooses the submitted point (`pipeline.submission.select`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.stage import Inputs
from pipeline.submission.gather import gather
from pipeline.submission.select import judge

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the score of a point whose runs, one for each seed, are in the spec (see `pipeline.core.search.Score`)."""
    return {"score": judge([gather(run, inputs) for run in spec["runs"]], list(spec["goals"]))}
