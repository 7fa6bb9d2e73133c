"""What a plan says of each layer before anything is trained."""

from __future__ import annotations

import pytest

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.execute.layers import layer_settings
from tinytorch.errors import NoEffectError

TEXT = """
name: x
data: {name: digits}
model: {arch: mlp, args: {hidden: [8]}}
optimize: [{finetune: {epochs: 1}}, {distill: {epochs: 1}}, {quantize: {bits: 4, method: METHOD, weights: per_group}}]
"""


@pytest.mark.parametrize("method", ["rtn", "gptq", "qat"])
def test_quantization_tells_its_layers_without_training(method: str) -> None:
    """Every method, also one that trains, says how it will hold which layer; steps that only train say nothing."""
    (run,) = build(loads(TEXT.replace("METHOD", method), "x.yaml")).runs
    ((step, layers),) = layer_settings(run)
    assert step.use == "quantize"
    words = "bits 4, weights per_group, group_size 64, activations dynamic"
    assert layers == {"fc1": words, "fc_out": words}


def test_what_only_trained_weights_decide_is_no_error_of_a_plan() -> None:
    """How many directions hold most of the energy is not known before; how many units a share is, is."""
    start = TEXT.partition("optimize")[0]
    (run,) = build(loads(start + "optimize: [{low_rank: {keep: 0.99, rank_by: energy}}]", "x.yaml")).runs
    assert list(layer_settings(run)) == []
    (run,) = build(loads(start + "optimize: [{prune: {sparsity: 0.001}}]", "x.yaml")).runs
    with pytest.raises(NoEffectError):
        list(layer_settings(run))


STRUCTURE = """
name: x
data: {name: digits}
model: {arch: cnn, args: {width: 16, depth: 1}}
optimize: [{low_rank: {keep: 0.5, except: [conv1]}}, {fuse: {}}, {prune: {method: block, ramp: cubic}}]
"""


def test_steps_that_change_the_structure_tell_what_becomes_of_which_layer() -> None:
    """By the names that layers have by then; a ramp says what it comes to, and trains nothing for that."""
    (run,) = build(loads(STRUCTURE, "x.yaml")).runs
    steps = {step.use: layers for step, layers in layer_settings(run)}
    assert steps["low_rank"] == {"fc_out": "keep 0.5"}
    assert steps["fuse"] == {"conv1": "norm bn1", "bn1": "into conv1"}
    assert set(steps["prune"].values()) == {"sparsity 0.5"}
