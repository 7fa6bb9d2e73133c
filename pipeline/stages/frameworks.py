"""The frameworks stage: gather what was measured of each piece of work into one document. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.stage import Inputs
from pipeline.submission.frameworks import build_frameworks

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the document that `pipeline.submission.frameworks` describes."""
    return {"frameworks": build_frameworks(spec, [inputs[f"row.{number}"] for number in range(len(spec["cases"]))])}
