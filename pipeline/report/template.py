"""What the HTML pages have in common: the environment of their templates, and how their scripts are named."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.report.text import printable

if TYPE_CHECKING:
    import jinja2

__all__ = ["environment", "script_digest"]


def environment(what: str) -> jinja2.Environment:
    """Return where templates are rendered, all texts escaped and without control characters.

    Raises EnvironmentProblem if jinja2 is not installed, which `what` needs.
    """
    try:
        import jinja2
    except ImportError as error:
        raise EnvironmentProblem(
            f"{what} needs jinja2, which is not installed", hint='pip install "tinytorch-pipeline[report]"'
        ) from error
    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )


def script_digest(script: str) -> str:
    """Return the SHA-256 of a script in base64, as a page's security policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _shown(value: Any) -> Any:
    """Replace control characters of a text; style and script are marked safe, and are none."""
    return printable(value) if type(value) is str else value
