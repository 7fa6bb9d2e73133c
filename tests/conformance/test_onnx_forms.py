"""Every layer that can be stored has an ONNX form that computes the same; a new layer needs a line in EXAMPLES."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.export.onnx_forms import FORMS
from pipeline.export.onnx_model import to_onnx
from tests.conformance.layer_examples import EXAMPLES, SHAPE, rng
from tinytorch.serialization import LAYERS

reference = pytest.importorskip("onnx.reference")


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


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind, made in EXAMPLES.items() for number in range(len(made))]
)
def test_an_exact_form_rounds_as_the_layer_does(kind: str, number: int) -> None:
    """Up to float32, whatever the layer's integers and scales, in onnx's own evaluator; nothing is calibrated."""
    model = EXAMPLES[kind][number]().eval()
    images = rng().normal(size=(9, *SHAPE)).astype(np.float32)
    session = reference.ReferenceEvaluator(to_onnx(model, is_exact=True))
    for batch in (images, images[:1], 100 * images):
        expected = model.predict(batch)
        (found,) = session.run(None, {"input": batch})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, np.abs(expected).max()))
