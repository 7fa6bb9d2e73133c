"""The ablation stage: gather what was found out with and without each step, and say what it contributes.

Nothing is measured or computed from weights here; models enter by digest and size only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.ablation import ASPECTS
from pipeline.core.stage import Inputs
from pipeline.submission.ablation import build_ablation
from pipeline.submission.gather import gather

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the document that `pipeline.submission.ablation` describes."""
    candidates = [gather(run, inputs) for run in spec["runs"]]
    return {"ablation": build_ablation(spec, candidates, ASPECTS)}
