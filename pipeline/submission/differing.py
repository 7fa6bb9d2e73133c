"""Where two submissions differ besides their figures: keys of the experiment, and circumstances of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    """Return where the resolved experiments of two submissions differ, in the first one's order, then the second's."""
    values = [dict(_leaves(document["experiment"]["document"])) for document in (first, second)]
    paths = dict.fromkeys([*values[0], *values[1]])
    pairs = ((path, values[0].get(path, ABSENT), values[1].get(path, ABSENT)) for path in paths)
    return [Difference(*pair) for pair in pairs if not _same(*pair[1:])]


def differing_circumstances(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Return in which of the facts that figures depend on two submissions of version 2 differ."""
    pairs = ((what, _at(first, path), _at(second, path)) for what, path in _CIRCUMSTANCES.items())
    return [Difference(*pair) for pair in pairs if not _same(*pair[1:])]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path as in an experiment file, value) for all that is no container, and for empty containers."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]")
    else:
        yield path, value


def _at(document: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = document
    for key in path:
        value = value[key]
    return value


def _same(first: Any, second: Any) -> bool:
    """Return whether two values of JSON are equal; true is not 1."""
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)
