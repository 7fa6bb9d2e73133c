"""Read an experiment file: bytes from disk to a Document. What the values mean is not decided here."""

from __future__ import annotations

import os
import re

from pipeline.config.compose import compose
from pipeline.config.document import Document
from pipeline.config.read import read_text, split_lines, unreadable
from pipeline.core.errors import ConfigError

__all__ = ["load", "loads"]

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2.2, 5.1
_HINT = "`pipeline init` writes a commented file to start from"
# files of ours that are no experiments: the keys that tell them, and what to do with them
_OTHER_KINDS = {
    "submission": (
        frozenset({"submission_type", "baseline"}),
        "`pipeline verify FILE` runs a submission again, `pipeline validate FILE` checks it",
    ),
    "competition": (frozenset({"x-competition"}), "`pipeline competition check FILE` checks a competition"),
}


def load(path: str | os.PathLike[str]) -> Document:
    """Read an experiment file.

    Duplicate keys and impossible numbers are left in the document's `problems`, so that a check lists them with all
    others. Raises ConfigError if the file cannot be read as YAML at all.
    """
    name = os.fspath(path)
    return loads(read_text(name), name)


def loads(text: str, name: str = "<text>") -> Document:
    """Read an experiment from a text; `name` is the file to name in messages. Raises ConfigError as `load` does."""
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        lines = split_lines(text[: bad.start()])
        raise unreadable(
            name,
            f"there is a control character (U+{ord(bad[0]):04X}) here; an experiment file is plain text",
            place=(len(lines), len(lines[-1]) + 1),
        )
    document = compose(text, name)
    if document.data is None:
        raise unreadable(name, "the file is empty; an experiment has name, data, model and optimize", hint=_HINT)
    if not isinstance(document.data, dict):
        found = "a list" if isinstance(document.data, list) else "a single value"
        problem = document.problem(
            "E108", (), f"an experiment is a mapping with name, data, model and optimize, not {found}", hint=_HINT
        )
        raise ConfigError([problem])
    for kind, (keys, hint) in _OTHER_KINDS.items():
        if keys.issubset(document.data):  # else every one of its keys would be a problem
            raise ConfigError([document.problem("E108", (), f"this is a {kind}, not an experiment", hint=hint)])
    return document
