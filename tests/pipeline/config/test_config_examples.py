"""The example experiments: each is valid, commented, and small enough for what it says it is."""

from __future__ import annotations

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.schemas import experiment_names, read_experiment, schema_names

HINT = "# yaml-language-server: $schema=../schemas/experiment.v1.schema.json"


def test_the_promised_examples_exist() -> None:
    """The names that README and the commands rely on."""
    assert set(experiment_names()) >= {"cnn_digits", "mnist", "prune_quant", "smoke"}
    assert "experiment.v1" in schema_names()


@pytest.mark.parametrize("name", experiment_names())
def test_every_example_is_valid(name: str) -> None:
    """No problem, no key without effect, and its name is its file's."""
    document = loads(read_experiment(name))
    assert check(document) == []
    assert document.data["name"] == name


@pytest.mark.parametrize("name", experiment_names())
def test_every_example_tells_editors_its_schema(name: str) -> None:
    """The first line makes editors complete and explain keys."""
    assert read_experiment(name).splitlines()[0] == HINT


def test_the_main_example_is_a_small_sweep_with_goals() -> None:
    """Prune, fine-tune, quantize at six points, with the goals of the main job."""
    experiment = build(loads(read_experiment("prune_quant")), checked=True)
    expected = [f"sparsity={sparsity} bits={bits}" for sparsity in (0.5, 0.75) for bits in (32, 8, 4)]
    assert [run.label for run in experiment.runs] == expected
    assert [step.use for step in experiment.runs[0].steps] == ["prune", "finetune", "quantize"]
    assert {goal.metric for goal in experiment.goals} >= {"accuracy", "compression"}
