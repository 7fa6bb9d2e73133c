"""Read an experiment file: bytes from disk to a Document. What the values mean is not decided here."""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from pipeline.config.compose import compose
from pipeline.config.document import Document, split_lines
from pipeline.core.errors import ConfigError, Problem

__all__ = ["MAX_BYTES", "load", "loads"]

MAX_BYTES = 1 << 20  # a large sweep takes some 20 KB
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2.2, 5.1
_HINT = "`pipeline init` writes a commented file to start from"


def load(path: str | os.PathLike[str]) -> Document:
    """Read an experiment file.

    Duplicate keys and impossible numbers are left in the document's `problems`, so that a check lists them with all
    others. Raises ConfigError if the file cannot be read as YAML at all.
    """
    name = os.fspath(path)
    return loads(_decode(_read(name), name), name)


def loads(text: str, name: str = "<text>") -> Document:
    """Read an experiment from a text; `name` is the file to name in messages. Raises ConfigError as `load` does."""
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        lines = split_lines(text[: bad.start()])
        raise _unreadable(
            name,
            f"there is a control character (U+{ord(bad[0]):04X}) here; an experiment file is plain text",
            place=(len(lines), len(lines[-1]) + 1),
        )
    document = compose(text, name)
    if document.data is None:
        raise _unreadable(name, "the file is empty; an experiment has name, data, model and optimize", hint=_HINT)
    if not isinstance(document.data, dict):
        found = "a list" if isinstance(document.data, list) else "a single value"
        problem = document.problem(
            "E108", (), f"an experiment is a mapping with name, data, model and optimize, not {found}", hint=_HINT
        )
        raise ConfigError([problem])
    return document


def _read(name: str) -> bytes:
    """Return a regular file's bytes, refusing what is no file or too large before reading it."""
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            raise _unreadable(name, "this is a folder, not an experiment file", hint=_yaml_files(name))
        if not stat.S_ISREG(mode):
            raise _unreadable(name, "this is not a regular file")
        with open(name, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _unreadable(name, "there is no such file", hint=_similar_files(name)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(name, f"the file cannot be read: {reason}") from error
    if len(raw) > MAX_BYTES:
        raise _unreadable(name, f"the file is larger than {MAX_BYTES >> 20} MiB", code="E103")
    return raw


def _decode(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        lines = split_lines(before)
        if b"\0" in raw[:4096]:
            raise _unreadable(name, "this is a binary file, not an experiment file") from error
        message = f"this is not UTF-8 text: byte 0x{raw[error.start]:02x} is not valid here"
        raise _unreadable(name, message, place=(len(lines), len(lines[-1]) + 1)) from error


def _unreadable(
    name: str, message: str, *, code: str = "E101", place: tuple[int, int] = (1, 1), hint: str = ""
) -> ConfigError:
    line, column = place
    return ConfigError([Problem(code, f"{name}:{line}:{column}", "", message, column=column, line=line, hint=hint)])


def _similar_files(name: str) -> str:
    """Return a hint with the file of the same folder whose name is nearest."""
    path = Path(name)
    try:
        names = sorted(item.name for item in path.parent.iterdir() if item.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return ""
    nearest = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"did you mean {path.parent / nearest[0]}?" if nearest else ""


def _yaml_files(folder: str) -> str:
    """Return a hint with the experiment files a folder holds."""
    try:
        names = sorted(item.name for item in Path(folder).iterdir() if item.suffix in (".yaml", ".yml"))
    except OSError:
        return ""
    return f"it holds {', '.join(names[:8])}" if names else "it holds no .yaml file"
