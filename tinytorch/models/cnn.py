"""The plain convolutional network: `depth` blocks of conv, batch norm, ReLU and 2x2 max pooling, then flatten and
fc_out.

Block i has ``width * 2**(i - 1)`` channels and the layers conv<i>, bn<i>, relu<i>, pool<i>; every block halves the
image. The convolutions have no bias, because the batch norm after them has one.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from tinytorch.arguments import Argument, integer, number, with_defaults
from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d, MaxPool2d
from tinytorch.models.network import Network
from tinytorch.models.size import check_weights, image_size

__all__ = ["ARGS", "build"]

ARGS: dict[str, Argument] = {"depth": 2, "dropout": 0.0, "kernel_size": 3, "width": 16}

_MOST_CHANNELS = 2048


def build(input_shape: tuple[int, ...], classes: int, rng: np.random.Generator, **args: Argument) -> Network:
    """Return the network for images (C, H, W); raises ValueError for an argument that is out of range."""
    chosen = with_defaults("cnn", ARGS, args)
    channels, height, width_px = image_size("cnn", input_shape)
    deepest = int(math.log2(min(height, width_px)))
    if deepest < 1:
        raise ValueError(f"cnn needs images of at least 2 x 2 pixels, not {height} x {width_px}")
    depth = integer(f"depth (images of {height} x {width_px})", chosen["depth"], 1, deepest)
    width = integer(f"width (with depth {depth})", chosen["width"], 1, _MOST_CHANNELS >> (depth - 1))
    kernel_size = integer("kernel_size", chosen["kernel_size"], 1, 11)
    dropout = number("dropout", chosen["dropout"], 0, 1, below_high=True)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that a convolution keeps the image's size, not {kernel_size}")
    widths = [channels, *(width << position for position in range(depth))]
    kernels = kernel_size**2 * sum(map(operator.mul, widths, widths[1:]))
    check_weights(
        "width, depth and kernel_size", kernels + widths[-1] * (height >> depth) * (width_px >> depth) * classes
    )
    layers: dict[str, Layer] = {}
    for position in range(1, depth + 1):
        wider = width << (position - 1)
        layers[f"conv{position}"] = Conv2d(channels, wider, kernel_size, padding=kernel_size // 2, bias=False, rng=rng)
        layers[f"bn{position}"] = BatchNorm2d(wider)
        layers[f"relu{position}"] = ReLU()
        layers[f"pool{position}"] = MaxPool2d(2)
        channels = wider
    layers["flatten"] = Flatten()
    if dropout:
        layers["dropout"] = Dropout(dropout)
    layers["fc_out"] = Linear(channels * (height >> depth) * (width_px >> depth), classes, rng=rng)
    return Network(layers, input_shape)
