"""Our layers as modules of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.measure.peer_torch import MODULES, to_torch
from tests.conformance.layer_examples import EXAMPLES, SHAPE, rng
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.serialization import LAYERS

torch = pytest.importorskip("torch")


def has_integers(model: Network) -> bool:
    return any(hasattr(layer, "scheme") for _, layer in model.named_layers())


FLOAT = [(kind, number) for kind in MODULES for number, make in enumerate(EXAMPLES[kind]) if not has_integers(make())]


def test_all_but_quantized_layers_have_a_module() -> None:
    """A new layer fails here until it has one."""
    assert LAYERS.keys() - MODULES.keys() == {"QuantizedConv2d", "QuantizedLinear"}


@pytest.mark.parametrize(("kind", "number"), FLOAT)
def test_a_module_computes_what_the_layer_does(kind: str, number: int) -> None:
    """Up to float32, for any batch."""
    model = EXAMPLES[kind][number]().eval()
    images = rng().normal(size=(5, *SHAPE)).astype(np.float32)
    with torch.inference_mode():
        found = to_torch(model)(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, model.predict(images), rtol=1e-4, atol=1e-5)


def test_a_layer_without_a_module_is_an_error() -> None:
    """It is named, not left out."""
    with pytest.raises(TinyTorchError, match="a QuantizedLinear has no module of torch"):
        to_torch(EXAMPLES["QuantizedLinear"][0]())


def test_arrays_are_copied() -> None:
    """What torch does to its parameters does not change ours."""
    model = EXAMPLES["Linear"][0]()
    before = model.predict(np.ones((1, *SHAPE), np.float32))
    with torch.no_grad():
        for parameter in to_torch(model).parameters():
            parameter.zero_()
    assert np.array_equal(model.predict(np.ones((1, *SHAPE), np.float32)), before)
