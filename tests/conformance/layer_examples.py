"""Every kind of layer that can be stored, in a small network: what tests of exports and peers go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.models.network import Network, Residual
from tinytorch.passes.quantize import Settings, apply
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

SHAPE = (3, 7, 6)


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
    "BlockSparseLinear": (
        lambda: alone(BlockSparseLinear(Linear(6, 20, rng=rng()), rng().random((2, 6)) < 0.5)),
        lambda: alone(BlockSparseLinear(Linear(6, 4, bias=False, rng=rng()), rng().random((1, 6)) < 0.5)),
    ),
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
        lambda: quantized(
            Network({"conv": Conv2d(3, 5, 3, rng=rng()), "bn": norm(5)}, SHAPE), bits=4, weights="per_group"
        ),
        lambda: quantized(Network({"conv": Conv2d(3, 5, 3, rng=rng()), "bn": norm(5)}, SHAPE), bits=8),
        lambda: quantized(
            Network({"conv": Conv2d(3, 5, 3, bias=False, rng=rng()), "bn": norm(5)}, SHAPE), activations="none"
        ),
    ),
    "QuantizedLinear": (
        lambda: quantized(alone(Linear(6, 4, rng=rng())), bits=8),
        lambda: quantized(alone(Linear(6, 4, bias=False, rng=rng())), bits=4, weights="per_tensor"),
        lambda: quantized(alone(Linear(6, 4, rng=rng())), bits=8, activations="none"),
        lambda: quantized(
            Network({"flatten": Flatten(), "fc": Linear(126, 4, rng=rng())}, SHAPE),
            weights="per_group",
            activations="none",
        ),
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
