"""The name under which it is remembered that an experiment file was found valid, and what it described.

Light on purpose: a run with nothing to do asks this instead of parsing YAML.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline.own.source import own_digest, sources
from pipeline.schemas import schema_path

__all__ = ["SCHEMA_NAME", "checked_digest"]

SCHEMA_NAME = "experiment.v1"

_REPOSITORY = Path(__file__).resolve().parents[2]
# What decides whether a file is valid and what it means; a change to any of these makes every file be read again.
_READERS = (
    "pipeline/config/*.py",
    "pipeline/core/draw.py",
    "pipeline/core/exclusion.py",
    "pipeline/core/experiment.py",
    "pipeline/core/search.py",
    "pipeline/core/sweep.py",
    "pipeline/core/value.py",
    "tinytorch/arguments.py",
    "tinytorch/data/*.py",
    "tinytorch/models/*.py",
    "tinytorch/passes/*.py",
)


def checked_digest(text: str, set_: Sequence[str] = (), sweep: Sequence[str] = ()) -> str:
    """Return the SHA-256 under which to remember an experiment file's text with these overrides.

    It changes with the text, the overrides, the schema, the code that reads and checks, and the names it checks
    against, those of the user's own included; not with the file's name.
    """
    own = [own_digest(source) for source in sources()]
    return _digest(json.dumps([text, list(set_), list(sweep), _readers_digest(), *own]))


@cache
def _readers_digest() -> str:
    files = [schema_path(SCHEMA_NAME), *(path for pattern in _READERS for path in sorted(_REPOSITORY.glob(pattern)))]
    return _digest("".join(_digest(path.read_bytes()) for path in files))


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
