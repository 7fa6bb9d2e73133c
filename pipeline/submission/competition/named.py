"""Which competition a submission is made for, by its own words. It imports little: every validation asks."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.submission.competition.limits import look_up
from pipeline.submission.read import read_submission

__all__ = ["made_for"]


def made_for(path: Path) -> str | None:
    """Return the competition that the experiment of the valid submission in a file names, if it names one.

    Raises UserError for what is no name: no stranger's path is ever followed.
    """
    name = look_up(read_submission(path), ("experiment", "document", "competition"))
    if name is None:
        return None
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise UserError(f"{path}: experiment.document.competition is no name of a competition")
    return name
