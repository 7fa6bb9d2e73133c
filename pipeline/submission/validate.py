"""Check a submission against its schema: every problem at once, with where it is, what was found and what is expected.

What a schema cannot say is left to `rules`, which look at documents that their schema allows. A document that fits is
found to do so without jsonschema, whose import takes longer.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import Problem, SubmissionInvalid
from pipeline.submission.compiled import compiled_schema
from pipeline.submission.measured import is_migrated
from pipeline.submission.migrate import SCHEMA as MIGRATED
from pipeline.submission.migrate import broken_migration
from pipeline.submission.places import MOST_LOOKED_AT, Place, path_of, shown, sortable
from pipeline.submission.read import read_submission
from pipeline.submission.rules import broken_rules

__all__ = ["SCHEMAS", "check_submission", "find_problems", "schema_problems", "schema_version", "validate_file"]

# version -> the schema file's name; a document without `schema_version` is in the course's format, version 1
SCHEMAS = {1: "submission.v1", 2: "submission.v2"}
_CODE = "E502"
_MOST_PROBLEMS = 100  # a hostile file must not fill the screen

# what is wrong somewhere, and what the schema says of that place
_Found = tuple[Place, str, str]


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
        found = shown(claimed)
        raise SubmissionInvalid(f"schema_version: found {found}, expected 2, or no such key for version 1", code="E503")
    return claimed


def find_problems(document: Mapping[str, Any], path: str = "submission") -> list[Problem]:
    """Return every problem of a document, in the order of the document's paths, at most 100 of them."""
    try:
        version = schema_version(document)
    except SubmissionInvalid as error:
        return [Problem("E503", path, "schema_version", error.message.partition(": ")[2])]
    schema = MIGRATED if is_migrated(document) else SCHEMAS[version]
    found = _errors(schema, document)
    if not found and version == 2:
        broken = broken_migration(document) if is_migrated(document) else broken_rules(document)
        found = {(sortable(where), message, "") for where, message in itertools.islice(broken, MOST_LOOKED_AT)}
    if _is_finite(document):
        return _problems(found, path, _CODE)
    not_finite = "found a number that is not finite, expected a finite one"
    found |= {(where, not_finite, "") for where in itertools.islice(_not_finite(document), MOST_LOOKED_AT)}
    return _problems(found, path, _CODE)


def schema_problems(name: str, document: Mapping[str, Any], path: str, code: str) -> list[Problem]:
    """Return what breaks a schema in a document of any kind, in the order of its paths, at most 100 problems."""
    return _problems(_errors(name, document), path, code)


def _errors(name: str, document: Mapping[str, Any]) -> set[_Found]:
    check = compiled_schema(name)
    if check is not None and check(document):  # ten times as fast as to find out what does not fit
        return set()
    found: set[_Found] = importlib.import_module("pipeline.submission.schema_errors").schema_errors(name, document)
    return found


def _problems(found: set[_Found], path: str, code: str) -> list[Problem]:
    listed = sorted(found)[:_MOST_PROBLEMS]
    return [Problem(code, path, path_of(where), message, hint=hint) for where, message, hint in listed]


def _is_finite(document: Mapping[str, Any]) -> bool:
    """Say whether all numbers are certainly finite, as the writer of JSON finds it: in a tenth of the time."""
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _not_finite(value: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, (*place, (True, key)))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _not_finite(item, (*place, (False, i)))
