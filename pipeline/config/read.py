"""Read an experiment file's text: bounded, UTF-8, and never anything but a regular file. YAML is not parsed here."""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from pipeline.core.errors import ConfigError, Problem

__all__ = ["MAX_BYTES", "read_text", "split_lines", "unreadable"]

MAX_BYTES = 1 << 20  # a large sweep takes some 20 KB
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what libyaml counts as the end of a line


def read_text(name: str) -> str:
    """Return the text of a file; raises ConfigError, naming a similar file where there is one."""
    return _decode(_read_bytes(name), name)


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their ends."""
    return _BREAK.split(text)


def _read_bytes(name: str) -> bytes:
    """Return a regular file's bytes, refusing what is no file or too large before reading it."""
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            raise unreadable(name, "this is a folder, not an experiment file", hint=_yaml_files(name))
        if not stat.S_ISREG(mode):
            raise unreadable(name, "this is not a regular file")
        with open(name, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise unreadable(name, "there is no such file", hint=_similar_files(name)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise unreadable(name, f"the file cannot be read: {reason}") from error
    if len(raw) > MAX_BYTES:
        raise unreadable(name, f"the file is larger than {MAX_BYTES >> 20} MiB", code="E103")
    return raw


def _decode(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        lines = split_lines(before)
        if b"\0" in raw[:4096]:
            raise unreadable(name, "this is a binary file, not an experiment file") from error
        message = f"this is not UTF-8 text: byte 0x{raw[error.start]:02x} is not valid here"
        raise unreadable(name, message, place=(len(lines), len(lines[-1]) + 1)) from error


def unreadable(
    name: str, message: str, *, code: str = "E101", place: tuple[int, int] = (1, 1), hint: str = ""
) -> ConfigError:
    """Return the error for a file that cannot be read at all, or not beyond a place (line, column from 1)."""
    line, column = place
    return ConfigError([Problem(code, f"{name}:{line}:{column}", "", message, column=column, line=line, hint=hint)])


def _similar_files(name: str) -> str:
    """Return a hint with the file whose name is nearest: of the same folder, or of `experiments` in it."""
    path = Path(name)
    for folder in (path.parent, path.parent / "experiments"):
        try:
            names = sorted(item.name for item in folder.iterdir() if item.suffix in (".yaml", ".yml"))
        except (OSError, ValueError):
            continue
        if nearest := difflib.get_close_matches(path.name, names, n=1, cutoff=0.5):
            return f"did you mean {folder / nearest[0]}?"
    return ""


def _yaml_files(folder: str) -> str:
    """Return a hint with the experiment files a folder holds."""
    try:
        names = sorted(item.name for item in Path(folder).iterdir() if item.suffix in (".yaml", ".yml"))
    except OSError:
        return ""
    return f"it holds {', '.join(names[:8])}" if names else "it holds no .yaml file"
