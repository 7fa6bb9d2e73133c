"""The table of report formats; their modules are imported when a report is rendered, so that listing is cheap.

Every module offers `render(submission) -> str`, a pure function of a valid submission of either version.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["REPORTERS", "load_reporter"]

REPORTERS: dict[str, str] = {
    "html": "pipeline.report.html",
    "md": "pipeline.report.markdown",
    "text": "pipeline.report.terminal",
}


def load_reporter(name: str) -> Callable[[Mapping[str, Any]], str]:
    """Return the function that renders a submission in this format; raises KeyError for a name not in REPORTERS."""
    render: Callable[[Mapping[str, Any]], str] = importlib.import_module(REPORTERS[name]).render
    return render
