"""Dotted paths into a document: `optimize[0].prune.sparsity` as text, ("optimize", 0, "prune", "sparsity") as a value.

A list item may also be named by the only key it has, so `optimize.prune.sparsity` is the same place as long as one step
is a `prune`. Keys that are not plain words are quoted: `per_layer["fc*"].sparsity`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pipeline.core.experiment import JSON

__all__ = ["Path", "PathError", "format_path", "get", "get_or_none", "locate", "parse_path", "replaced"]

Path = tuple[str | int, ...]

_PART = re.compile(
    r"""(?P<dot>\.)?(?:(?P<word>[^.\[\]"=\s]+)|\[(?P<index>\d{1,6})\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\])""", re.VERBOSE
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class PathError(ValueError):
    """A dotted path that cannot be read or leads nowhere; the message says why."""


def format_path(path: Path) -> str:
    """Return a path as text."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _WORD.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def parse_path(text: str) -> Path:
    """Return the parts of a path as written. Raises PathError."""
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        is_word = match is not None and match["word"] is not None
        if match is None or (match["dot"] is not None) != (is_word and position > 0):
            raise PathError(f"{text!r} is not a path like optimize[0].prune.sparsity")
        parts.append(_part(match))
        position = match.end()
    if not parts:
        raise PathError("the path is empty; write for example optimize.prune.sparsity")
    return tuple(parts)


def _part(match: re.Match[str]) -> str | int:
    if match["word"] is not None:
        return str(match["word"])
    if match["index"] is not None:
        return int(match["index"])
    try:
        return str(json.loads(match["quoted"]))
    except ValueError as error:
        raise PathError(f"{match['quoted']} is not a quoted key: {error}") from error


def locate(data: JSON, path: Path) -> Path:
    """Return the path with list items that are named by their key written as indexes.

    Parts beyond what the document holds are kept as they are: they may name a key that has only its default so far.
    Raises PathError if a list item does not exist or the name fits several.
    """
    found: list[str | int] = []
    here = data
    for part in path:
        if isinstance(here, list) and isinstance(part, str):
            index = _item_with_key(here, part, tuple(found))
            found.append(index)
            here = here[index]
        if isinstance(here, list) and isinstance(part, int) and part >= len(here):
            raise PathError(f"{format_path(tuple(found))} has {_items(len(here))}, so there is no [{part}]")
        found.append(part)
        here = _child(here, part)
    return tuple(found)


def _item_with_key(items: Sequence[JSON], key: str, path: Path) -> int:
    fitting = [index for index, item in enumerate(items) if isinstance(item, dict) and key in item]
    where = format_path(path)
    if not fitting:
        names = sorted(
            {name for item in items if isinstance(item, dict) for name in item if name not in ("id", "when")}
        )
        raise PathError(f"{where} has no item {key!r}; it has {', '.join(names) or 'none'}")
    if len(fitting) > 1:
        choices = " or ".join(f"{where}[{index}].{key}" for index in fitting)
        raise PathError(f"{where} has several items {key!r}; write {choices}")
    return fitting[0]


def _items(count: int) -> str:
    return f"{count} item" if count == 1 else f"{count} items"


def _child(here: JSON, part: str | int) -> JSON:
    if isinstance(here, dict) and isinstance(part, str):
        return here.get(part)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    return None


def get(data: JSON, path: Path) -> JSON:
    """Return the value at a path. Raises KeyError if there is none."""
    for part in path:
        is_there = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if not is_there or (isinstance(data, list) and not 0 <= int(part) < len(data)):
            raise KeyError(format_path(path))
        data = data[part]
    return data


def get_or_none(data: JSON, path: Path) -> JSON:
    """Return the value at a path, None if there is none."""
    try:
        return get(data, path)
    except KeyError:
        return None


def replaced(data: JSON, path: Path, value: JSON) -> JSON:
    """Return the document with another value at a path; what is not on the way is shared, missing mappings are made.

    Raises PathError where the path goes through something that has no such part.
    """
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(part, int):
        if not isinstance(data, list) or part >= len(data):
            raise PathError(f"there is no item [{part}]")
        return [*data[:part], replaced(data[part], rest, value), *data[part + 1 :]]
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise PathError(f"there is nothing called {part!r} inside {json.dumps(data, ensure_ascii=False)[:40]}")
    return {**data, part: replaced(data.get(part), rest, value)}
