"""Compare what a submission says with what was computed again: every value that differs, with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Path", "disagreements", "shown"]

Path = tuple[str | int, ...]

# Sums and logarithms differ in their last digits between versions of numpy and processors, by some 1e-15; nothing that
# is worth faking is this small.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-15
_SCALARS = frozenset({bool, float, int, str, type(None)})  # most values; to ask for an abstract type takes longer


def disagreements(found: Any, expected: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield (path, what was found and what is expected) for every value that is not the expected one.

    Numbers agree within 1e-9 of their size; lists have the same length and objects the same keys.
    """
    is_scalar = type(expected) in _SCALARS
    if not is_scalar and isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in sorted(found.keys() - expected.keys()):
            yield (*path, key), "is there, and the evidence gives no such value"
        for key, value in expected.items():
            if key in found:
                yield from disagreements(found[key], value, (*path, key))
            else:
                yield (*path, key), f"is missing, expected {shown(value)}"
    elif (
        not is_scalar and isinstance(expected, list | tuple) and isinstance(found, list) and len(expected) == len(found)
    ):
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from disagreements(one, other, (*path, i))
    elif not _same(found, expected):
        yield path, f"found {shown(found)}, expected {shown(expected)}"


def _same(found: Any, expected: Any) -> bool:
    if _is_number(found) and _is_number(expected):
        return math.isclose(found, expected, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return type(found) is type(expected) and bool(found == expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """Return a value as a short text."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} keys"
    if isinstance(value, list | tuple) and len(value) > 2:
        return f"a list of {len(value)} items"
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
