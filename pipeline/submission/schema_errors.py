"""What of a document breaks its schema, and where: the slow half of `validate`, loaded for documents that do not fit.

The only module of the package that imports jsonschema, which takes longer than to check a submission.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from pipeline.schemas import fits, read_schema
from pipeline.submission.places import LONGEST_KEY, MOST_LOOKED_AT, Place, shown, sortable

__all__ = ["schema_errors"]


def schema_errors(name: str, document: Mapping[str, Any]) -> set[tuple[Place, str, str]]:
    """Return (place, message, what the schema says of the place) for what breaks it; of very many, the first ones."""
    errors = (
        (_place(error, key), message, said)
        for error in _validator(name).iter_errors(document)
        for key, message, said in _messages(error)
    )
    return set(itertools.islice(errors, MOST_LOOKED_AT))


@cache
def _validator(name: str) -> Draft202012Validator:
    bounded = cast(Any, validators).extend(Draft202012Validator, {"items": _items, "pattern": _pattern})
    return cast(Draft202012Validator, bounded(read_schema(name)))


def _items(validator: Any, items: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Check the items of a list, unless there are too many: that is the problem then."""
    if not isinstance(instance, list) or len(instance) <= schema.get("maxItems", len(instance)):
        yield from cast(Any, Draft202012Validator.VALIDATORS["items"])(validator, items, instance, schema)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not fits(pattern, instance):
        yield ValidationError("")


def _place(error: ValidationError, key: str) -> Place:
    return sortable((*error.absolute_path, *([key] if key else [])))


def _messages(error: ValidationError) -> Iterator[tuple[str, str, str]]:
    """Yield (key below the error's place or "", message, its description) for all that one error of jsonschema says."""
    keyword, limit, instance = str(error.validator), cast(Any, error.validator_value), cast(Any, error.instance)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    known: Mapping[str, Any] = schema.get("properties", {})
    if keyword in ("required", "dependentRequired"):
        wanted = limit if keyword == "required" else [name for key in limit if key in instance for name in limit[key]]
        missing = (name for name in wanted if name not in instance)
        yield from ((name, "is missing", _described(known.get(name))) for name in missing)
    elif keyword == "additionalProperties":
        yield from ((name, _unknown(name, list(known)), "") for name in instance if name not in known)
    else:
        expected = _EXPECTED[keyword](limit) if keyword in _EXPECTED else f"{keyword} {shown(limit)}"
        yield "", f"found {shown(instance)}, expected {expected}", _described(schema)


def _described(schema: Any) -> str:
    """Return what a schema says that a value is."""
    return (
        f"what belongs here: {schema['description']}" if isinstance(schema, Mapping) and "description" in schema else ""
    )


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name[:LONGEST_KEY], known, n=1)
    return f"is not a key of this object; did you mean {near[0]!r}?" if near else "is not a key of this object"


def _types(names: str | list[str]) -> str:
    words = {"integer": "a whole number", "array": "a list", "object": "an object", "null": "null"}
    listed = [names] if isinstance(names, str) else names
    return " or ".join(words.get(name, f"a {name}") for name in listed)


_EXPECTED: dict[str, Callable[[Any], str]] = {
    "const": lambda value: json.dumps(value),
    "enum": lambda values: f"one of {', '.join(json.dumps(value) for value in values)}",
    "exclusiveMaximum": lambda limit: f"less than {limit}",
    "exclusiveMinimum": lambda limit: f"more than {limit}",
    "maxItems": lambda limit: f"at most {limit} items",
    "maxLength": lambda limit: f"at most {limit} characters",
    "maxProperties": lambda limit: f"at most {limit} keys",
    "maximum": lambda limit: f"at most {limit}",
    "minItems": lambda limit: f"at least {limit} items",
    "minLength": lambda limit: f"at least {limit} characters",
    "minProperties": lambda limit: f"at least {limit} keys",
    "minimum": lambda limit: f"at least {limit}",
    "pattern": lambda pattern: f"text of the form {pattern}",
    "type": _types,
    "uniqueItems": lambda _: "no item twice",
}
