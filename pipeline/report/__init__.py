"""The table of report formats; their modules are imported when a report is rendered, so that listing is cheap.

Every module offers `render(submission) -> str`, a pure function of a valid submission of either version; those of
WITH_SAMPLES take the raw samples of its evidence, too, or the reason why there are none, and those of WITH_ABLATION
what each step contributes, where that was measured. Pictures are `vega`'s.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

__all__ = ["REPORTERS", "WITH_ABLATION", "WITH_SAMPLES", "load_reporter"]

REPORTERS: dict[str, str] = {
    "csv": "pipeline.report.sheet",
    "html": "pipeline.report.html",
    "json": "pipeline.report.document",
    "md": "pipeline.report.markdown",
    "text": "pipeline.report.terminal",
}

WITH_ABLATION = ("html", "json", "md")
WITH_SAMPLES = ("html", "json")


def load_reporter(name: str) -> Callable[..., str]:
    """Return the function that renders a submission in this format; raises KeyError for a name not in REPORTERS."""
    render: Callable[..., str] = importlib.import_module(REPORTERS[name]).render
    return render
