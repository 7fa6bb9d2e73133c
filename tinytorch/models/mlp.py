"""The multi-layer perceptron: flatten, then fc1, relu1, (dropout1), ..., fc_out.

`hidden` lists the widths of the hidden layers (none: softmax regression); an activation layer is named after its kind.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from tinytorch.arguments import Argument, choice, integers, number, with_defaults
from tinytorch.core.activations import GELU, ReLU, Sigmoid, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.models.network import Network
from tinytorch.models.size import check_weights

__all__ = ["ARGS", "build"]

ARGS: dict[str, Argument] = {"activation": "relu", "dropout": 0.0, "hidden": [128]}

_ACTIVATIONS: dict[str, type[Layer]] = {"gelu": GELU, "relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}


def build(input_shape: tuple[int, ...], classes: int, rng: np.random.Generator, **args: Argument) -> Network:
    """Return the network for samples of `input_shape`; raises ValueError for an argument that is out of range."""
    chosen = with_defaults("mlp", ARGS, args)
    hidden = integers("hidden", chosen["hidden"], low=1, high=4096, least=0, most=16)
    activation = choice("activation", chosen["activation"], sorted(_ACTIVATIONS))
    dropout = number("dropout", chosen["dropout"], 0, 1, below_high=True)
    widths = [math.prod(input_shape), *hidden, classes]
    check_weights(f"hidden (with {widths[0]:,} inputs)", sum(map(operator.mul, widths, widths[1:])))
    layers: dict[str, Layer] = {"flatten": Flatten()}
    features = widths[0]
    for position, width in enumerate(hidden, start=1):
        layers[f"fc{position}"] = Linear(features, width, rng=rng)
        layers[f"{activation}{position}"] = _ACTIVATIONS[activation]()
        if dropout:
            layers[f"dropout{position}"] = Dropout(dropout)
        features = width
    layers["fc_out"] = Linear(features, classes, rng=rng)
    return Network(layers, input_shape)
