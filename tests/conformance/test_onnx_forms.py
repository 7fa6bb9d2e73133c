"""Every layer that can be stored has an ONNX form that computes the same; a new layer needs a line in EXAMPLES."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.export.onnx_forms import FORMS
from pipeline.export.onnx_model import to_onnx
from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.models.network import Network, Residual
from tinytorch.passes.quantize import Settings, apply
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear
from tinytorch.serialization import LAYERS

reference = pytest.importorskip("onnx.reference")

SHAPE = (3, 7, 6)
Quantize = dict[str, Any]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def norm(channels: int) -> BatchNorm2d:
    """A batch norm that has seen something: a negative gamma and no trivial statistics."""
    layer, draw = BatchNorm2d(channels), rng()
    layer.gamma.data = draw.normal(size=channels).astype(np.float32)
    layer.beta.data = draw.normal(size=channels).astype(np.float32)
    layer.running_mean = draw.normal(size=channels).astype(np.float32)
    layer.running_var = draw.uniform(0.5, 2, channels).astype(np.float32)
    return layer


def alone(layer: Layer) -> Network:
    return Network({"layer": layer}, SHAPE)


def residual(shortcut: bool) -> Network:
    channels = 4 if shortcut else 3
    body = Network({"conv": Conv2d(3, channels, 3, padding=1, rng=rng()), "bn": norm(channels)}, SHAPE)
    way = Network({"conv": Conv2d(3, channels, 1, bias=False, rng=rng())}, SHAPE) if shortcut else None
    return alone(Residual(body, way))


def quantized(model: Network, **settings: Any) -> Network:
    return apply(model, Settings.from_params(settings), {}, 0)[0]


def mask(layer: Layer) -> np.ndarray:
    return rng().random(layer.state()["weight"].shape) < 0.4


CONV = {"stride": (2, 1), "padding": (1, 0)}
EXAMPLES: dict[str, tuple[Callable[[], Network], ...]] = {
    "AvgPool2d": (lambda: alone(AvgPool2d((3, 2), (2, 2), 1)), lambda: alone(AvgPool2d(2))),
    "BatchNorm2d": (lambda: alone(norm(3)),),
    "Conv2d": (
        lambda: alone(Conv2d(3, 5, (3, 2), **CONV, rng=rng())),
        lambda: alone(Conv2d(3, 5, 1, bias=False, rng=rng())),
    ),
    "Dropout": (lambda: alone(Dropout(0.5)),),
    "Flatten": (lambda: alone(Flatten()),),
    "GELU": (lambda: alone(GELU()),),
    "Linear": (
        lambda: alone(Linear(6, 4, rng=rng())),
        lambda: alone(Linear(6, 4, bias=False, rng=rng())),
        lambda: Network({"flatten": Flatten(), "fc": Linear(126, 4, bias=False, rng=rng())}, SHAPE),
    ),
    "MaxPool2d": (lambda: alone(MaxPool2d(3, 2, 1)), lambda: alone(MaxPool2d(2))),
    "Network": (lambda: Network({"inner": alone(ReLU())}, SHAPE),),
    "QuantizedConv2d": (
        lambda: quantized(alone(Conv2d(3, 5, (3, 2), **CONV, rng=rng())), bits=8),
        lambda: quantized(alone(Conv2d(3, 5, 3, bias=False, rng=rng())), bits=4, weights="per_tensor"),
        lambda: quantized(alone(Conv2d(3, 5, 3, rng=rng())), bits=4, activations="none"),
        lambda: quantized(Network({"conv": Conv2d(3, 5, 3, rng=rng()), "bn": norm(5)}, SHAPE), bits=8),
        lambda: quantized(
            Network({"conv": Conv2d(3, 5, 3, bias=False, rng=rng()), "bn": norm(5)}, SHAPE), activations="none"
        ),
    ),
    "QuantizedLinear": (
        lambda: quantized(alone(Linear(6, 4, rng=rng())), bits=8),
        lambda: quantized(alone(Linear(6, 4, bias=False, rng=rng())), bits=4, weights="per_tensor"),
        lambda: quantized(alone(Linear(6, 4, rng=rng())), bits=8, activations="none"),
        lambda: quantized(Network({"flatten": Flatten(), "fc": Linear(126, 4, rng=rng())}, SHAPE), bits=8),
    ),
    "ReLU": (lambda: alone(ReLU()),),
    "Residual": (lambda: residual(True), lambda: residual(False), lambda: quantized(residual(True), bits=8)),
    "Sigmoid": (lambda: alone(Sigmoid()),),
    "Softmax": (lambda: alone(Softmax()),),
    "SparseConv2d": (
        lambda: alone(SparseConv2d((conv := Conv2d(3, 5, (3, 2), **CONV, rng=rng())), mask(conv))),
    ),
    "SparseLinear": (lambda: alone(SparseLinear((linear := Linear(6, 4, rng=rng())), mask(linear))),),
    "Tanh": (lambda: alone(Tanh()),),
}  # fmt: skip


def test_every_layer_has_a_form_and_an_example() -> None:
    """A new layer fails here until it has both."""
    assert FORMS.keys() == LAYERS.keys() == EXAMPLES.keys()


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind, made in EXAMPLES.items() for number in range(len(made))]
)
def test_a_form_computes_what_the_layer_does(kind: str, number: int) -> None:
    """For every batch size, exactly up to float32, or up to the rounding of a quantized layer's input."""
    model = EXAMPLES[kind][number]().eval()
    images = rng().normal(size=(9, *SHAPE)).astype(np.float32)
    session = reference.ReferenceEvaluator(to_onnx(model, images))
    for batch in (images, images[:1]):
        (found,) = session.run(None, {"input": batch})
        expected = model.predict(batch)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        rounds = any(getattr(getattr(layer, "scheme", None), "activations", "none") != "none"
                     for _, layer in model.named_layers())  # fmt: skip
        tolerance = 0.05 if rounds else 1e-4
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=tolerance * max(1.0, np.abs(expected).max()))
