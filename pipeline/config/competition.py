"""Check the competition that an experiment names: one of the package's, or one whose file lies beside the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.config.finding import Finding, clipped, nearest
from pipeline.core.experiment import JSON
from pipeline.schemas import competition_names, competition_path

__all__ = ["competition_findings"]


def competition_findings(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Yield what is wrong with the key `competition`, whose form is the schema's business."""
    name = data.get("competition")
    if isinstance(name, str) and name.isidentifier() and competition_path(name) is None:
        message = f'there is no competition "{clipped(name)}"{nearest(name, competition_names())}'
        yield Finding("E115", ("competition",), message, f"competitions: {', '.join(competition_names())}")
