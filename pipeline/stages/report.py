"""The report stage: render a submission, or a comparison of frameworks, in the formats that the experiment asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.core.stage import Inputs
from pipeline.report import html, markdown
from pipeline.report.distribution import samples_of
from pipeline.report.frameworks_html import render_html
from pipeline.report.frameworks_text import render_markdown

__all__ = ["execute"]

# The renderers are imported here rather than looked up by name, so that their code is part of this stage's code.
_RENDER: dict[str, Callable[[Inputs], str]] = {
    "html": lambda inputs: html.render(
        inputs["submission"], samples_of(inputs["evidence"]), ablation=inputs.get("ablation")
    ),
    "md": lambda inputs: markdown.render(inputs["submission"], inputs.get("ablation")),
}
_RENDER_FRAMEWORKS: dict[str, Callable[[Mapping[str, Any]], str]] = {"html": render_html, "md": render_markdown}


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return one text for each of `spec["formats"]`; raises EnvironmentProblem for HTML without its libraries."""
    if "frameworks" in inputs:
        return {name: _RENDER_FRAMEWORKS[name](inputs["frameworks"]) for name in spec["formats"]}
    return {name: _RENDER[name](inputs) for name in spec["formats"]}
