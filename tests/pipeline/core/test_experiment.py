"""The frozen specs and their JSON."""

from __future__ import annotations

import json

import pytest

from pipeline.core.experiment import BenchmarkSpec, DataSpec, ModelSpec, Run, Step, TrainSpec, as_json


def test_specs_become_plain_json() -> None:
    """Nested specs, tuples and mappings turn into dicts and lists that JSON holds."""
    run = Run(
        0,
        "",
        0,
        {"bits": 8},
        DataSpec("digits"),
        ModelSpec("mlp"),
        (Step("q", "quantize", {"bits": 8}),),
        BenchmarkSpec(),
    )
    value = as_json(run)
    assert value["steps"] == [{"id": "q", "use": "quantize", "params": {"bits": 8}}]
    assert value["benchmark"]["batch_sizes"] == [1]
    assert json.loads(json.dumps(value)) == value


def test_the_json_is_a_copy() -> None:
    """Changing it does not reach the spec."""
    spec = DataSpec("digits", args={"a": [1]})
    as_json(spec)["args"]["a"].append(2)
    assert spec.args == {"a": [1]}


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", TrainSpec])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    """Sets, bytes, objects and classes are errors."""
    with pytest.raises(TypeError, match="is not a JSON value"):
        as_json({"a": value})


def test_specs_cannot_be_changed() -> None:
    """They are shared between runs."""
    with pytest.raises(AttributeError):
        TrainSpec().epochs = 3  # type: ignore[misc]
