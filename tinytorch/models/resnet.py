"""The residual network for small images [He et al., 2016, section 4.2]: conv1, bn1, relu1, blocks, avgpool, flatten,
fc_out.

`blocks` lists the number of blocks per stage; stage s has ``width * 2**(s - 1)`` channels, and from the second on its
first block halves the image. A block is conv1, bn1, relu1, conv2, bn2 with the input added before the last ReLU;
where the shape changes, a 1x1 convolution (shortcut.conv, shortcut.bn) adapts the input. The paper's ResNet-20 is
``blocks: [3, 3, 3]``.
"""

from __future__ import annotations

import math

import numpy as np

from tinytorch.arguments import Argument, integer, integers, with_defaults
from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d
from tinytorch.models.network import Network, Residual
from tinytorch.models.size import check_weights, image_size

__all__ = ["ARGS", "build"]

ARGS: dict[str, Argument] = {"blocks": [1, 1, 1], "width": 16}

_MOST_CHANNELS = 512


def build(input_shape: tuple[int, ...], classes: int, rng: np.random.Generator, **args: Argument) -> Network:
    """Return the network for images (C, H, W); raises ValueError for an argument that is out of range."""
    chosen = with_defaults("resnet", ARGS, args)
    inputs, height, width_px = image_size("resnet", input_shape)
    most = int(math.log2(min(height, width_px))) + 1
    blocks = integers(f"blocks (images of {height} x {width_px})", chosen["blocks"], low=1, high=16, most=min(most, 6))
    width = integer(f"width (with {len(blocks)} stages)", chosen["width"], 1, _MOST_CHANNELS >> (len(blocks) - 1))
    # Two kernels a block; the first block of a stage has fewer inputs, and a shortcut instead.
    check_weights("blocks and width", sum(18 * (width << stage) ** 2 * count for stage, count in enumerate(blocks)))
    layers: dict[str, Layer] = {
        "conv1": Conv2d(inputs, width, 3, padding=1, bias=False, rng=rng),
        "bn1": BatchNorm2d(width),
        "relu1": ReLU(),
    }
    shape: tuple[int, ...] = (width, height, width_px)
    for stage, count in enumerate(blocks):
        for position in range(count):
            stride = 2 if stage and not position else 1
            block = _block(shape, width << stage, stride, rng)
            layers[f"block{len(layers) - 2}"] = block
            shape = block.output_shape(shape)
    layers["avgpool"] = AvgPool2d((shape[1], shape[2]))
    layers["flatten"] = Flatten()
    layers["fc_out"] = Linear(shape[0], classes, rng=rng)
    return Network(layers, input_shape)


def _block(input_shape: tuple[int, ...], channels: int, stride: int, rng: np.random.Generator) -> Residual:
    inputs = input_shape[0]
    body = {
        "conv1": Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False, rng=rng),
        "bn1": BatchNorm2d(channels),
        "relu1": ReLU(),
        "conv2": Conv2d(channels, channels, 3, padding=1, bias=False, rng=rng),
        "bn2": BatchNorm2d(channels),
    }
    shortcut = None
    if stride != 1 or inputs != channels:
        layers = {
            "conv": Conv2d(inputs, channels, 1, stride=stride, bias=False, rng=rng),
            "bn": BatchNorm2d(channels),
        }
        shortcut = Network(layers, input_shape)
    return Residual(Network(body, input_shape), shortcut)
