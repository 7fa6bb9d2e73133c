"""The fast check of a schema says what jsonschema says."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.schemas import read_schema
from pipeline.submission.compiled import compiled, compiled_schema
from pipeline.submission.schema_errors import schema_errors
from tests.fuzz.changes import change_tree

DOCUMENT = json.loads((Path(__file__).parents[1] / "report" / "submission.json").read_text(encoding="utf-8"))
KEYS = ("accuracy", "schema_version", "points", "nothing")


@pytest.mark.parametrize(
    "name", ["competition.v1", "submission.v1", "submission.v2", "submission.v2.migrated", "verification.v1"]
)
def test_what_strangers_hand_in_has_a_fast_check(name: str) -> None:
    """All their keywords are known."""
    assert compiled_schema(name) is not None


def test_a_valid_submission_fits() -> None:
    """And one less a key does not."""
    check = compiled_schema("submission.v2")
    assert check is not None
    assert check(DOCUMENT)
    assert not check({key: value for key, value in DOCUMENT.items() if key != "size"})


@pytest.mark.parametrize("seed", range(15))
def test_changed_documents_fit_as_jsonschema_says(seed: int) -> None:
    """The slow reference and the fast check agree on five changed documents each."""
    rng = Random(seed)
    check = compiled_schema("submission.v2")
    assert check is not None
    for _ in range(5):
        changed = change_tree(copy.deepcopy(DOCUMENT), rng, KEYS)
        assert check(changed) == (not schema_errors("submission.v2", changed))


@pytest.mark.parametrize("name", ["tiny_digits", "all_around", "wake_vision"])
def test_changed_competitions_fit_as_jsonschema_says(name: str) -> None:
    """Their schema has conditions, and constants that are lists."""
    rng = Random(name)
    check, document = compiled_schema("competition.v1"), read_schema(f"competitions/{name}")
    assert check is not None
    assert check(document)
    for _ in range(40):
        changed = change_tree(copy.deepcopy(document), rng, ("minimum", "kind", "closed", "steps", "$ref"))
        assert check(changed) == (not schema_errors("competition.v1", changed))


SCHEMAS: list[dict[str, Any]] = [
    {"const": 1},
    {"const": True},
    {"enum": [0, None, "a"]},
    {"type": ["integer", "null"], "minimum": 1},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "string", "minLength": 1, "maxLength": 2, "pattern": "^a+$"},
    {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}},
    {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": {"type": "integer"}},
    {"properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    {"propertyNames": {"pattern": "^a"}, "required": ["a"]},
    {"dependentRequired": {"a": ["b"]}},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"const": [1, {"a": True}]},
    {"enum": [[1], {"a": 1}, 2]},
    {"maxItems": 3, "uniqueItems": True},
    {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": ["string", "array"]}},
    {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}},
    {"$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/list"}}}, "$ref": "#/$defs/list"},
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, 0.5, 2, 2.5, -1, "", "a", "aa", "aaa", "b", "a\n", "é"),
    *([], [1], [1.0], [1, 2], [True], ["a"], [[]], [[[]]], [[1]], {}, {"a": 1}, {"b": 1}, {"a": "x"}),
    *({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, [1, {"a": True}], [1.0, {"a": 1}], {"a": 1.0}),
    *([1, 1], [1, True], [1, 1.0], [[1], [1]], [{"a": 1}, {"a": 1.0}], [{"a": 1}, {"a": True}], ["a", "b", "a"]),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_each_keyword_means_what_jsonschema_means(schema: dict[str, Any]) -> None:
    """On values of every type; a line break after the end of a pattern is none of ours."""
    check, reference = compiled(schema), Draft202012Validator(schema)
    assert check is not None
    for value in VALUES:
        if value != "a\n":
            assert check(value) == reference.is_valid(value), value
    assert not check("a\n") or "pattern" not in schema


@pytest.mark.parametrize(
    "schema", [{"not": {}}, {"items": {"format": "date"}}, {"$ref": "#/nothing"}, {"uniqueItems": True}]
)
def test_an_unknown_keyword_makes_no_check(schema: dict[str, Any]) -> None:
    """So that jsonschema is asked."""
    assert compiled(schema) is None


def test_all_schemas_of_submissions_are_read_from_their_files() -> None:
    """The check is of the schema that everybody reads."""
    assert compiled_schema("submission.v2") is compiled_schema("submission.v2")
    assert compiled(read_schema("experiment.v1")) is None
