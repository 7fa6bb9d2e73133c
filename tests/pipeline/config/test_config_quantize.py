"""Keys of a quantize step that mean something only beside others."""

from __future__ import annotations

import pytest

from pipeline.config.check import check
from pipeline.config.load import loads

TEXT = """
name: x
data: {name: digits}
model: {arch: mlp}
optimize: [{quantize: {SETTINGS}}]
"""


def messages(settings: str) -> list[str]:
    return [f"{problem.code} {problem.message}" for problem in check(loads(TEXT.replace("SETTINGS", settings)))]


@pytest.mark.parametrize(
    "settings",
    [
        "method: gptq, calibration_samples: 9",
        "activations: static, calibration_samples: 9",
        "per_layer: {fc1: {activations: static}}, calibration_samples: 9",
        "activations: static, calibration: percentile, percentile: 99.0",
        "weights: per_group, group_size: 32",
        "per_layer: {fc1: {weights: per_group, group_size: 32}}",
        "method: qat, epochs: 2, lr: 1e-3, batch_size: 8, schedule: cosine",
        "bits: 4, activations: none",
    ],
)
def test_keys_that_work_together_are_fine(settings: str) -> None:
    """Each of these has an effect."""
    assert messages(settings) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "calibration_samples: 9",
            "calibration_samples has no effect here: it is for activations: static, or method: gptq",
        ),
        ("group_size: 32", "group_size has no effect here: it is for weights: per_group"),
        ("calibration: mse", "calibration has no effect here: it is for activations: static"),
        ("activations: static, percentile: 99.0", "percentile has no effect here: it is for calibration: percentile"),
        ("method: gptq, epochs: 9", "epochs has no effect here: it is for method: qat"),
        ("schedule: cosine", "schedule has no effect here: it is for method: qat"),
    ],
)
def test_keys_without_effect_say_what_they_are_for(settings: str, message: str) -> None:
    """All the ways in which a key could have one are named."""
    assert messages(settings) == [f"E119 {message}"]


@pytest.mark.parametrize(
    ("step", "technique"),
    [
        ("finetune: {epochs: 1}", "finetune"),
        ("distill: {epochs: 1}", "distill"),
        ("quantize: {method: qat, except: [fc1]}", "qat"),
    ],
)
def test_nothing_is_trained_after_quantize(step: str, technique: str) -> None:
    """Also not the layers that an earlier step has left alone, since the others are in the way of their gradients."""
    text = TEXT.replace("{quantize: {SETTINGS}}", f"{{quantize: {{targets: [fc1]}}}}, {{{step}}}")
    (problem,) = check(loads(text))
    assert (problem.code, problem.yaml_path) == ("E134", f"optimize[1].{step.partition(':')[0]}")
    assert problem.message == f"{technique} comes after quantize, and integer weights cannot be trained"
