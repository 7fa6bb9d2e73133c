"""Texts of strangers in the comment on a pull request, where Markdown and HTML would mean something; and OWNERS."""

from __future__ import annotations

from pathlib import Path
from random import Random

from pipeline.core.errors import PipelineError
from pipeline.submission.pull_request.changes import owners_in
from tests.fuzz.changes import change_bytes
from tests.fuzz.failure import Failure
from tests.fuzz.files import Files
from tests.pipeline.report.test_pull_request_comment import HOSTILE, OURS, comment_with, rendered

__all__ = ["check_comment", "make_comment"]

_PIECES = (
    *HOSTILE,
    "\n",
    "\r",
    "\n\n",
    "    ",
    "\t",
    "- ",
    "> ",
    "| --- |",
    "](",
    "![",
    "&lt;",
    "\u2028",
    "\x85",
    "~~~~",
)
_OWNERS = "ada @ada @grace\nteam-b @bob  # a comment\n\n"


def make_comment(rng: Random) -> Files:
    """Return a text of pieces that could break out of where they stand, and a changed list of teams."""
    text = "".join(rng.choice(_PIECES) for _ in range(rng.randrange(1, 12))).encode("utf-8", "surrogatepass")
    owners = _OWNERS.encode()
    return {
        "text": change_bytes(text, rng) if rng.random() < 0.3 else text,
        "OWNERS": change_bytes(owners, rng) if rng.random() < 0.8 else owners,
    }


def check_comment(folder: Path) -> bool:
    """Return whether the list of teams is one; the comment is ours but for what stands in code."""
    text = (folder / "text").read_bytes().decode("utf-8", "replace")
    found = rendered(comment_with(text))
    if odd := sorted(found.tags - OURS):
        raise Failure(f"an element of a stranger: {odd[0][:40]}", repr(text))
    if "alert" in found.outside or "octocat" in found.outside:
        raise Failure("a stranger's text outside of code", repr(text))
    try:
        return bool(owners_in((folder / "OWNERS").read_bytes().decode("utf-8", "replace"), "OWNERS"))
    except PipelineError:
        return False
