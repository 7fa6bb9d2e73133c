"""The schema as a contract: every key explained, no alternatives to choose from, in step with the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.config.rules import INERT
from pipeline.config.schema import PRESETS, UNLESS, fill, keys_at, node_at, root, step_names
from pipeline.config.wording import _PATTERNS, WORDINGS
from pipeline.core.experiment import BenchmarkSpec, Goal, Outputs, TrainSpec
from pipeline.submission.metrics import METRICS
from tinytorch.passes import STEPS, load_pass, resolve

ANNOTATIONS = {
    *("$defs", "$id", "$ref", "$schema", "default", "description", "examples", "properties", "title", "items", PRESETS),
    UNLESS,
}


def nodes(node: Any = None, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every schema inside the schema and where it is."""
    node = root() if node is None else node
    yield where, node
    for key in ("properties", "$defs"):
        for name, inner in node.get(key, {}).items():
            yield from nodes(inner, f"{where}/{key}/{name}")
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{where}/{key}")


KEYS = {where: node for where, node in nodes() if where.rpartition("/")[0].endswith("/properties")}


def test_the_schema_is_valid() -> None:
    """It is a JSON Schema of draft 2020-12."""
    assert root()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(root())


@pytest.mark.parametrize("where", KEYS)
def test_every_key_is_explained(where: str) -> None:
    """Editors show a description, a default and examples, and all of these are valid values."""
    node = KEYS[where]
    assert node["description"].endswith(".")
    validator = Draft202012Validator({**node, "$defs": root()["$defs"]})
    for value in (node["default"], *node["examples"]):
        validator.validate(value)
    assert node["examples"]


def test_mappings_are_closed_and_nothing_offers_alternatives() -> None:
    """Unknown keys are errors, and no anyOf or oneOf makes messages unreadable."""
    for where, node in nodes():
        assert not {"anyOf", "oneOf", "allOf", "if", "not", "unevaluatedProperties"} & set(node), where
        if "properties" in node:
            assert node["additionalProperties"] is False, where


def test_every_keyword_has_words() -> None:
    """No keyword of the schema lacks its plain message, and no message is for nothing."""
    used = {key for where, node in nodes() for key in node if "propertyNames" not in where}
    assert used - ANNOTATIONS - {"propertyNames"} == set(WORDINGS)
    assert {node["pattern"] for _, node in nodes() if "pattern" in node} == set(_PATTERNS)


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        (("model", "train"), TrainSpec),
        (("benchmark",), BenchmarkSpec),
        (("outputs",), Outputs),
        (("goals", 0), Goal),
    ],
)
def test_specs_have_the_schemas_keys_and_defaults(path: tuple[str | int, ...], spec: Any) -> None:
    """A frozen spec and its section agree in names and in defaults."""
    node = node_at(path)
    assert node is not None
    expected = {
        name: tuple(inner["default"]) if isinstance(inner["default"], list) else inner["default"]
        for name, inner in node["properties"].items()
        if not (name == "preset" and PRESETS in node)  # it chooses defaults, and is none of what is asked for
    }
    assert spec()._asdict() == expected


@pytest.mark.parametrize("step", sorted(STEPS.keys() - {"custom"}))  # its passes are not ours
def test_steps_have_the_passes_keys_and_defaults(step: str) -> None:
    """What a step may say is what its passes understand, with the same defaults; one choice chooses the pass."""
    params = fill({step: {}}, ("optimize", 0))[step]
    chooser, default, choices = STEPS[step]
    for choice in choices:
        name, settings = resolve(step, {**params, **({chooser: choice} if chooser else {})})
        module = load_pass(name)
        assert module.Settings.from_params(settings) == module.Settings()
    if chooser is not None:
        node = node_at(("optimize", 0, step, chooser))
        assert node is not None
        assert sorted(node["enum"]) == sorted(choices)
        assert node["default"] == default


def test_steps_and_metrics_are_those_of_the_tables() -> None:
    """A step or metric added to a table must appear in the schema."""
    assert sorted(step_names()) == sorted(STEPS)
    metric, minimize, maximize = (node_at(("goals", 0, key)) for key in ("metric", "minimize", "maximize"))
    assert metric is not None
    assert minimize is not None
    assert maximize is not None
    assert {name for name in metric["enum"] if name} == set(METRICS)
    assert {name for name in minimize["enum"] + maximize["enum"] if name} == set(METRICS)


def test_keys_without_effect_are_those_the_passes_ignore() -> None:
    """The table of inert keys names keys that exist, with values that exist."""
    for inert in INERT:
        section = ("optimize", 0, *inert.section[1:]) if inert.section[0] == "optimize" else inert.section
        assert {inert.key, inert.needs} <= set(keys_at(section))
        needed = node_at((*section, inert.needs))
        assert needed is not None
        assert set(inert.values) < set(needed["enum"])
    for step, (chooser, _, choices) in STEPS.items():
        for choice, (_, meaningless) in choices.items():
            for key in meaningless:
                assert any(i.key == key and i.needs == chooser and choice not in i.values for i in INERT), (step, key)


def test_filling_adds_what_is_missing_and_keeps_the_rest() -> None:
    """Defaults appear in the schema's order; absent and null mean the same where null is the default."""
    filled = fill({"processes": 3}, ("benchmark",))
    defaults = (root()["$defs"]["benchmark"]["properties"][key]["default"] for key in keys_at(("benchmark",)))
    assert list(filled) == [key for key, d in zip(keys_at(("benchmark",)), defaults, strict=True) if d is not None]
    assert filled["processes"] == 3
    assert "grad_clip" not in fill({"grad_clip": None}, ("model", "train"))


def test_filling_twice_changes_nothing() -> None:
    """A filled document is filled."""
    once = fill({"name": "x", "data": {"name": "digits"}, "model": {"arch": "mlp"}, "optimize": [{"prune": {}}]})
    assert fill(once) == once


def test_defaults_are_not_shared_between_documents() -> None:
    """Changing a filled value leaves the schema alone."""
    fill({}, ("benchmark",))["threads"].append(99)
    assert fill({}, ("benchmark",))["threads"] == [1]
