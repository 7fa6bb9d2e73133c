"""Where two submissions differ besides their figures: keys of the experiment, and circumstances of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

__all__ = ["ABSENT", "Difference", "differing_circumstances", "differing_keys"]

ABSENT = "–"  # how a key that only the other one has is shown

# what -> its place in a submission
_CIRCUMSTANCES = {
    "data": ("provenance", "data", "digest"),
    "test items": ("provenance", "data", "roles", "test"),
    "seed": ("provenance", "seeds", "submitted"),
    "baseline's weights": ("provenance", "weights", "baseline"),
    "optimized weights": ("provenance", "weights", "optimized"),
    "package": ("provenance", "versions", "package"),
    "python": ("provenance", "versions", "python"),
    "numpy": ("provenance", "versions", "numpy"),
    "kernels": ("provenance", "versions", "kernels"),
    "processor": ("machine", "cpu"),
    "blas": ("machine", "blas"),
    "cores": ("machine", "cores", "allowed"),
    "kernel": ("machine", "kernel"),
    "protocol": ("measurement", "protocol"),
    "measured at": ("measurement", "measured_at"),
}


@dataclass(frozen=True)
class Difference:
    """A place and the two values there; ABSENT is that of a key which is not there."""

    path: str
    first: Any
    second: Any


def differing_keys(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Return where the resolved experiments of two submissions differ, in the first one's order, then the second's.

    What only one of them has (a step, a goal) is one difference, with all its keys.
    """
    return list(_differences("", *(document["experiment"]["document"] for document in (first, second))))


def differing_circumstances(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Return in which of the facts that figures depend on two submissions of version 2 differ."""
    pairs = ((what, _at(first, path), _at(second, path)) for what, path in _CIRCUMSTANCES.items())
    return [Difference(*pair) for pair in pairs if not _same(*pair[1:])]


def _differences(path: str, first: Any, second: Any) -> Iterator[Difference]:
    """Yield where two values differ, by their path as in an experiment file; a list of words is one value."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys([*first, *second]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(inner, first.get(key, ABSENT), second.get(key, ABSENT))
    elif _has_items(first) and _has_items(second):
        for place, pair in enumerate(zip_longest(first, second, fillvalue=ABSENT)):
            yield from _differences(f"{path}[{place}]", *pair)
    elif not _same(first, second):
        yield Difference(path, first, second)


def _has_items(value: Any) -> bool:
    """Return whether a value is a list with something to look into, or an empty one."""
    return isinstance(value, list) and (not value or any(isinstance(item, Mapping | list) for item in value))


def _at(document: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = document
    for key in path:
        value = value[key]
    return value


def _same(first: Any, second: Any) -> bool:
    """Return whether two values of JSON are equal; true is not 1."""
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)
