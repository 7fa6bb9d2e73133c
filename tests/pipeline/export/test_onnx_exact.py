"""Quantized networks as ONNX models whose integers are tinytorch's own: the same outputs in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.export.onnx_model import INPUT, to_onnx
from tinytorch.core.fitting import FitSettings, fit
from tinytorch.data import digits
from tinytorch.models import load_model_module
from tinytorch.models.network import Network
from tinytorch.passes import load_pass

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

DATA = digits.load(None, 0)
TEST = DATA.test.images(np.arange(100))
SMALL: dict[str, dict[str, Any]] = {"mlp": {"hidden": [64, 32]}, "cnn": {}, "resnet": {"width": 8, "blocks": [1, 1]}}
SCHEMES: dict[str, dict[str, Any]] = {
    "dynamic": {"bits": 8},
    "static": {"bits": 8, "activations": "static"},
    "static_cut": {"bits": 8, "activations": "static", "calibration": "percentile", "percentile": 90.0},
    "four_bits": {"bits": 4, "weights": "per_tensor"},
    "grouped": {"bits": 4, "weights": "per_group", "group_size": 32},
    "weights_only": {"bits": 8, "activations": "none"},
}


@pytest.fixture(scope="module", params=list(SMALL))
def trained(request: pytest.FixtureRequest) -> Network:
    """A network of each kind, trained on digits."""
    model = load_model_module(request.param).build((1, 8, 8), 10, np.random.default_rng(0), **SMALL[request.param])
    fit(model, DATA.train, None, FitSettings(epochs=2), 0)
    return model.eval()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_outputs_are_those_of_the_network(trained: Network, scheme: str) -> None:
    """Whatever the bits, the scales and the activations: to the order of sums, also beyond the calibrated range."""
    quantize = load_pass("quantize")
    settings = quantize.Settings.from_params(SCHEMES[scheme])
    model = quantize.apply(trained, settings, {"train": DATA.train}, 0)[0]
    session = runtime.InferenceSession(to_onnx(model, is_exact=True), providers=["CPUExecutionProvider"])
    for images in (TEST, TEST[:1], 3 * TEST, 0 * TEST):
        expected = model.predict(images)
        found = session.run(None, {INPUT: images})[0]
        # A sum that differs in its last bit is rounded to the other integer of the next layer once in a while.
        off = np.abs(found - expected) / np.abs(expected).max()
        assert np.median(off) < 1e-5
        assert off.max() < 0.02
