"""Check a submission against its schema: every problem at once, with where it is, what was found and what is expected.

The only module here that imports jsonschema. What a schema cannot say is left to `rules`, which look at documents that
their schema allows.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from pipeline.core.errors import Problem, SubmissionInvalid
from pipeline.schemas import fits, read_schema
from pipeline.submission.compiled import compiled_schema
from pipeline.submission.measured import is_migrated
from pipeline.submission.migrate import SCHEMA as MIGRATED
from pipeline.submission.migrate import broken_migration
from pipeline.submission.read import read_submission
from pipeline.submission.rules import broken_rules

__all__ = ["SCHEMAS", "check_submission", "find_problems", "schema_problems", "schema_version", "validate_file"]

# version -> the schema file's name; a document without `schema_version` is in the course's format, version 1
SCHEMAS = {1: "submission.v1", 2: "submission.v2"}
_CODE = "E502"
_MOST_PROBLEMS = 100  # a hostile file must not fill the screen
_MOST_LOOKED_AT = 1000  # nor keep the processor busy: with more than this, the first ones found are listed
_LONGEST_KEY = 80

Place = tuple[tuple[bool, Any], ...]  # a path whose parts sort: numbers as numbers, keys as texts


def validate_file(path: Path) -> dict[str, Any]:
    """Return the valid submission in a file.

    Raises UserError if the file cannot be read, and SubmissionInvalid if it is no bounded JSON object or breaks its
    schema; then every problem is in `problems`.
    """
    document = read_submission(path)
    check_submission(document, str(path))
    return document


def check_submission(document: Mapping[str, Any], path: str = "submission") -> None:
    """Raise SubmissionInvalid with every problem, if there is any; `path` is what they are reported under."""
    problems = find_problems(document, path)
    if not problems:
        return
    count = len(problems)
    first = problems[0]
    summary = f"{path}: {first.yaml_path}: {first.message}" if count == 1 else f"{path}: {count} problems"
    raise SubmissionInvalid(summary, code=_CODE, problems=problems)


def schema_version(document: Mapping[str, Any]) -> int:
    """Return the version that a document claims; raises SubmissionInvalid if there is no such version."""
    if "schema_version" not in document:
        return 1
    claimed = document["schema_version"]
    if type(claimed) is not int or claimed not in SCHEMAS or claimed == 1:
        found = _shown(claimed)
        raise SubmissionInvalid(f"schema_version: found {found}, expected 2, or no such key for version 1", code="E503")
    return claimed


def find_problems(document: Mapping[str, Any], path: str = "submission") -> list[Problem]:
    """Return every problem of a document, in the order of the document's paths, at most 100 of them."""
    try:
        version = schema_version(document)
    except SubmissionInvalid as error:
        return [Problem("E503", path, "schema_version", error.message.partition(": ")[2])]
    schema = MIGRATED if is_migrated(document) else SCHEMAS[version]
    found = set() if _fits(schema, document) else _errors(schema, document)
    if not found and version == 2:
        broken = broken_migration(document) if is_migrated(document) else broken_rules(document)
        found = {(_sortable(where), message) for where, message in itertools.islice(broken, _MOST_LOOKED_AT)}
    not_finite = "found a number that is not finite, expected a finite one"
    found |= {(where, not_finite) for where in itertools.islice(_not_finite(document), _MOST_LOOKED_AT)}
    return [Problem(_CODE, path, _path(where), message) for where, message in sorted(found)[:_MOST_PROBLEMS]]


def schema_problems(name: str, document: Mapping[str, Any], path: str, code: str) -> list[Problem]:
    """Return what breaks a schema in a document of any kind, in the order of its paths, at most 100 problems."""
    found = sorted(_errors(name, document))
    return [Problem(code, path, _path(where), message) for where, message in found[:_MOST_PROBLEMS]]


def _fits(name: str, document: Mapping[str, Any]) -> bool:
    """Say whether a document certainly fits a schema: ten times as fast as to find out what does not."""
    check = compiled_schema(name)
    return check is not None and check(document)


def _errors(name: str, document: Mapping[str, Any]) -> set[tuple[Place, str]]:
    errors = (
        (_place(error, key), message)
        for error in _validator(name).iter_errors(document)
        for key, message in _messages(error)
    )
    return set(itertools.islice(errors, _MOST_LOOKED_AT))


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
    return _sortable((*error.absolute_path, *([key] if key else [])))


def _sortable(path: Iterable[str | int]) -> Place:
    return tuple((isinstance(part, str), part) for part in path)


def _path(place: Place) -> str:
    path = "".join(f".{part[:_LONGEST_KEY]}" if is_key else f"[{part}]" for is_key, part in place)
    return path.removeprefix(".") or "$"


def _messages(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Yield (key below the error's place or "", message) for everything that one error of jsonschema says."""
    keyword, limit, instance = str(error.validator), cast(Any, error.validator_value), cast(Any, error.instance)
    if keyword in ("required", "dependentRequired"):
        wanted = limit if keyword == "required" else [name for key in limit if key in instance for name in limit[key]]
        yield from ((name, "is missing") for name in wanted if name not in instance)
    elif keyword == "additionalProperties":
        known = list(cast(Mapping[str, Any], error.schema).get("properties", {}))
        yield from ((name, _unknown(name, known)) for name in instance if name not in known)
    else:
        expected = _EXPECTED[keyword](limit) if keyword in _EXPECTED else f"{keyword} {_shown(limit)}"
        yield "", f"found {_shown(instance)}, expected {expected}"


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name[:_LONGEST_KEY], known, n=1)
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


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"an object of {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} items"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _not_finite(value: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, (*place, (True, key)))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _not_finite(item, (*place, (False, i)))
