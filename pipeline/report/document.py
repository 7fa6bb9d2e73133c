"""The report as JSON: what every other form says in words, and the rows that its charts are drawn from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pipeline.report.distribution import Samples
from pipeline.report.material import make_material
from pipeline.report.view import make_view
from pipeline.submission.measured import is_measured

__all__ = ["render"]


def render(
    submission: Mapping[str, Any],
    samples: Samples | None = None,
    reason: str = "",
    ablation: Mapping[str, Any] | None = None,
) -> str:
    """Return one document: the parts of the report by name, and `charts`, the tables of what is drawn of version 2."""
    document = dataclasses.asdict(make_view(submission, ablation))
    if is_measured(submission):
        material = make_material(submission, samples, reason, ablation)
        document["charts"] = {name: list(rows) for name, rows in material.tables.items()}
        document["not_drawn"] = dict(material.reasons)
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
