"""Which competition a submission is made for, by its own words, and by which rules. It imports little: every
validation asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.schemas import competition_path
from pipeline.submission.competition.limits import look_up
from pipeline.submission.read import read_submission

__all__ = ["made_for", "rules_digest", "rules_named"]

_MOST_BYTES = 2**20


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


def rules_digest(schema: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a competition's schema as JSON text with sorted keys, whatever the layout of its file."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()


def rules_named(experiment: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the name and the rules of the competition that an experiment's document is made for, as they are now.

    None if it is made for none, or if none of that name can be read here.
    """
    name = experiment.get("competition")
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        return None
    path = competition_path(name)
    if path is None:
        return None
    try:
        return {"name": name, "rules": rules_digest(read_submission(path, _MOST_BYTES))}
    except (SubmissionInvalid, UserError):
        return None
