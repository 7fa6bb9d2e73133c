"""What a plan says of each layer before anything is trained."""

from __future__ import annotations

import pytest

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.execute.layers import layer_settings

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
