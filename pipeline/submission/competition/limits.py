"""What a competition demands, as one list of limits: those of its schema, and those that follow from its terms.

The vocabulary of a competition's schema is closed (schemas/competition.v1.schema.json), so that every demand in it is
found here and any other validator of JSON Schema finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Limit", "Place", "RULES", "look_up", "path_text", "place_of", "schema_limits", "terms_limits"]

Place = tuple[str | int, ...]

# what a limit demands -> how it is said
RULES = {
    "minimum": "at least",
    "maximum": "at most",
    "const": "exactly",
    "enum": "one of",
    "type": "of the type",
    "minItems": "items: at least",
    "required": "the key",
}


class Limit(NamedTuple):
    """One demand on the value at one place; `origin` is where the competition makes it."""

    place: Place
    rule: str
    expected: Any
    origin: str


def schema_limits(schema: Mapping[str, Any], place: Place = ()) -> Iterator[Limit]:
    """Yield every limit of a competition's schema, in its order."""
    for rule in RULES:
        if rule in schema and (rule != "type" or place):
            yield Limit(place, rule, schema[rule], "properties")
    for key, below in schema.get("properties", {}).items():
        yield from schema_limits(below, (*place, key))
    for i, below in enumerate(schema.get("prefixItems", ())):
        yield from schema_limits(below, (*place, i))


def terms_limits(terms: Mapping[str, Any]) -> Iterator[Limit]:
    """Yield what the terms of a competition demand of single values of a submission."""
    for place, name in _DATA.items():
        yield Limit(place, "const", look_up(terms, place_of(name)), name)
    yield Limit(("provenance", "seeds", "submitted"), "enum", terms["baseline"]["seeds"], "baseline.seeds")
    for place, rule, name in _PROTOCOL:
        yield Limit(place, rule, terms["protocol"][name], f"protocol.{name}")


_DATA: dict[Place, str] = {
    ("provenance", "data", "name"): "data.name",
    ("provenance", "data", "digest"): "data.digest",
    **{("provenance", "data", "roles", role): f"data.roles.{role}" for role in ("train", "validation", "test")},
}
_SPEED = ("comparisons", "speed")
_PROTOCOL: tuple[tuple[Place, str, str], ...] = (
    (("measurement", "protocol"), "const", "name"),
    ((*_SPEED, "scenario"), "const", "scenario"),
    ((*_SPEED, "batch_size"), "const", "batch_size"),
    ((*_SPEED, "threads"), "const", "threads"),
    ((*_SPEED, "processes"), "minimum", "least_processes"),
    ((*_SPEED, "pairs"), "minimum", "least_pairs"),
)


def look_up(document: Any, place: Place) -> Any:
    """Return the value at a place, or None where there is none."""
    for part in place:
        if isinstance(part, int):
            document = document[part] if isinstance(document, list) and part < len(document) else None
        else:
            document = document.get(part) if isinstance(document, Mapping) else None
    return document


def place_of(path: str) -> Place:
    """Return the place that a path such as `benchmark.comparisons[0].verdict` names."""
    parts: list[str | int] = []
    for part in path.split("."):
        key, *indexes = part.replace("]", "").split("[")
        parts += [key, *(int(index) for index in indexes if index.isdecimal())]
    return tuple(parts)


def path_text(place: Place) -> str:
    """Return a place as people write it; `$` is the whole document."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".") or "$"
