"""The schemas of submissions: the course's own format, and ours that keeps every field of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.schemas import read_schema
from pipeline.submission.validate import SCHEMAS, find_problems

# Written for this test in the format that the course documents.
COURSE_EXAMPLE = {
    "tinytorch_version": "0.1.0",
    "submission_type": "capstone_benchmark",
    "timestamp": "2025-03-02 09:15:00",
    "system_info": {"platform": "Linux-6.1-x86_64", "python_version": "3.11.6", "numpy_version": "1.26.0"},
    "student_name": "Ada",
    "baseline": {
        "model_name": "my_mlp",
        "metrics": {
            "parameter_count": 283,
            "model_size_mb": 0.00108,
            "accuracy": 0.5,
            "latency_ms_mean": 0.05,
            "latency_ms_std": 0.01,
            "throughput_samples_per_sec": 20000.0,
        },
    },
    "optimized": {
        "model_name": "my_small_mlp",
        "metrics": {
            "parameter_count": 140,
            "model_size_mb": 0.00054,
            "accuracy": 0.48,
            "latency_ms_mean": 0.04,
            "latency_ms_std": 0.01,
            "throughput_samples_per_sec": 25000.0,
        },
        "techniques_applied": ["pruning"],
    },
    "improvements": {"speedup": 1.25, "compression_ratio": 2.0, "accuracy_delta": -0.02},
}


def nodes(schema: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every subschema that describes a value, with its path."""
    for keyword in ("properties", "$defs"):
        for name, item in schema.get(keyword, {}).items():
            yield f"{path}.{name}", item
            yield from nodes(item, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield f"{path}[]", schema[keyword]
            yield from nodes(schema[keyword], f"{path}[]")


def resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def fields(schema: dict[str, Any], node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field of a document by its path, references followed."""
    for name, item in resolved(schema, node).get("properties", {}).items():
        yield f"{path}.{name}", resolved(schema, item)
        yield from fields(schema, item, f"{path}.{name}")


@pytest.mark.parametrize("name", SCHEMAS.values())
def test_each_schema_is_a_valid_schema_with_an_id_of_no_host(name: str) -> None:
    """A schema is found by its file, never fetched."""
    schema = read_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"].startswith("urn:")


@pytest.mark.parametrize("name", SCHEMAS.values())
def test_every_property_is_described(name: str) -> None:
    """Editors and people learn what a field means from the schema."""
    assert [
        path for path, node in nodes(read_schema(name)) if not resolved(read_schema(name), node).get("description")
    ] == []


def test_unknown_keys_are_errors_wherever_the_format_is_ours() -> None:
    """An object of version 2 is closed, unless it is a free mapping."""
    open_objects = [
        path
        for path, node in nodes(read_schema("submission.v2"))
        if "properties" in node and node.get("additionalProperties") is not False
    ]
    assert open_objects == []


def test_the_courses_format_is_valid_version_1() -> None:
    """With and without an optimized model, and with further keys."""
    assert find_problems(COURSE_EXAMPLE) == []
    baseline_only = {k: v for k, v in COURSE_EXAMPLE.items() if k not in ("optimized", "improvements", "student_name")}
    assert find_problems({**baseline_only, "energy_joules": 1.5}) == []


def test_version_2_has_every_field_of_version_1_with_its_type() -> None:
    """A field never changes its name or meaning."""
    v1, v2 = read_schema("submission.v1"), read_schema("submission.v2")
    ours = dict(fields(v2, v2))
    for path, node in fields(v1, v1):
        assert ours[path].get("type") == node.get("type"), path
        assert ours[path].get("const") == node.get("const"), path


def test_version_2_requires_every_field_of_version_1_but_the_name() -> None:
    """Version 1's optional parts are what version 2 is about."""
    v1, v2 = read_schema("submission.v1"), read_schema("submission.v2")
    assert set(v1["properties"]) - set(v2["required"]) == {"student_name"}


def test_a_submission_of_version_2_is_valid_version_1(submission: dict[str, Any]) -> None:
    """Whatever reads the course's format reads ours."""
    assert list(Draft202012Validator(read_schema("submission.v1")).iter_errors(submission)) == []


def test_a_built_submission_is_valid_version_2(submission: dict[str, Any]) -> None:
    """Nothing is missing and nothing is too much."""
    assert find_problems(submission) == []
    assert find_problems({**submission, "student_name": "Ada"}) == []
