"""Small networks and random images for the tests of passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.models import load_model_module
from tinytorch.models.network import Network

SHAPE, CLASSES = (2, 8, 8), 5


@pytest.fixture
def images() -> np.ndarray:
    """Random images (20, 2, 8, 8)."""
    return np.random.default_rng(1).standard_normal((20, *SHAPE)).astype(np.float32)


@pytest.fixture
def train(images: np.ndarray) -> Split:
    """The same images with random labels, as a split."""
    labels = np.random.default_rng(2).integers(0, CLASSES, len(images))
    return Split(images, labels, 1.0, (0.0, 0.0), (1.0, 1.0))


@pytest.fixture
def build() -> Callable[..., Network]:
    """A function arch, arguments -> network with non-trivial biases and batch norms, in eval mode."""

    def build_network(arch: str, **args: Any) -> Network:
        rng = np.random.default_rng(3)
        model = load_model_module(arch).build(SHAPE, CLASSES, rng, **args)
        for _, layer in model.named_layers():
            for parameter in layer.parameters():
                if parameter.ndim == 1:
                    parameter.data += 0.1 * rng.standard_normal(parameter.shape).astype(np.float32)
        model.train().forward(Tensor(rng.standard_normal((16, *SHAPE))))
        return model.eval()

    return build_network
