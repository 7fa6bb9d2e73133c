"""Where in a document something is: paths that sort and can be shown; and values as short texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["LONGEST_KEY", "MOST_LOOKED_AT", "Place", "path_of", "shown", "sortable"]

MOST_LOOKED_AT = 1000  # problems, so that a hostile file does not keep the processor busy
LONGEST_KEY = 80  # of a stranger's, as it is shown

Place = tuple[tuple[bool, Any], ...]  # a path whose parts sort: numbers as numbers, keys as texts


def sortable(path: Iterable[str | int]) -> Place:
    """Return a path so that paths sort: list items by their numbers, keys by their texts."""
    return tuple((isinstance(part, str), part) for part in path)


def path_of(place: Place) -> str:
    """Return a place as people write it; `$` is the whole document."""
    path = "".join(f".{part[:LONGEST_KEY]}" if is_key else f"[{part}]" for is_key, part in place)
    return path.removeprefix(".") or "$"


def shown(value: Any) -> str:
    """Return a value as a short text; lists and objects by their sizes."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} items"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
