"""The report stage: render the submission in the formats that the experiment asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.stage import Inputs
from pipeline.report import html, markdown

__all__ = ["execute"]

# The renderers are imported here rather than looked up by name, so that their code is part of this stage's code.
_RENDER = {"html": html.render, "md": markdown.render}


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return one text for each of `spec["formats"]`; raises EnvironmentProblem for HTML without jinja2."""
    return {name: _RENDER[name](inputs["submission"]) for name in spec["formats"]}
