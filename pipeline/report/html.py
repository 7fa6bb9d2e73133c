"""The report as one self-contained HTML page: no script, no request, light and dark, escaped throughout.

Needs jinja2, an extra. The template and its styles are Python modules, so that editing them renders reports anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.report.chart import forest, scatter
from pipeline.report.page import PAGE
from pipeline.report.style import STYLE
from pipeline.report.text import printable
from pipeline.report.view import View, make_view

if TYPE_CHECKING:
    import jinja2

__all__ = ["render"]


def render(submission: Mapping[str, Any]) -> str:
    """Return the page for a valid submission; raises EnvironmentProblem when jinja2 is not installed."""
    view = make_view(submission)
    charts = _charts(view)
    return _environment().from_string(PAGE).render(view=view, style=STYLE, **charts)


def _charts(view: View) -> dict[str, Any]:
    if not view.points:
        return {"scatters": (), "forest": None}
    others = [(point.numbers, "chosen" if point.is_chosen else "other", point.label) for point in view.points]
    baseline = [(view.baseline, "baseline", "baseline")]
    # The chosen point last, so that no other one covers it.
    ordered = sorted(
        [*baseline, *((n, k, "submitted" if k == "chosen" else label) for n, k, label in others)],
        key=lambda point: point[1] == "chosen",
    )
    scatters = (
        scatter("stored size", "size_bytes", "B", ordered),
        scatter("speed-up", "speedup", "ratio", ordered),
    )
    return {"scatters": scatters, "forest": forest(others) if len(others) > 1 else None}


def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise EnvironmentProblem(
            "the HTML report needs jinja2, which is not installed", hint='pip install "tinytorch-pipeline[report]"'
        ) from error
    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )


def _shown(value: Any) -> Any:
    """Replace control characters of a text, the style sheet's line breaks excepted, which is marked safe."""
    return printable(value) if type(value) is str else value
