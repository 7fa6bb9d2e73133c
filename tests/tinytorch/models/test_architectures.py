"""What the arguments of mlp, cnn and resnet do, and what they refuse."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.models import cnn, mlp, resnet
from tinytorch.models.network import Network


def names(model: Network) -> list[str]:
    """The names of the leaves."""
    return [name for name, _ in model.named_layers()]


def rng() -> np.random.Generator:
    """A generator for weights nobody looks at."""
    return np.random.default_rng(0)


def test_mlp_layers() -> None:
    """Hidden layers are numbered; the activation is named after its kind."""
    model = mlp.build((1, 8, 8), 10, rng(), hidden=[32, 16], activation="gelu", dropout=0.1)
    assert names(model) == ["flatten", "fc1", "gelu1", "dropout1", "fc2", "gelu2", "dropout2", "fc_out"]
    assert model.parameter_count() == 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    assert model.macs() == 64 * 32 + 32 * 16 + 16 * 10


def test_mlp_without_hidden_layers_is_softmax_regression() -> None:
    """An empty list is allowed."""
    assert names(mlp.build((3, 2, 2), 4, rng(), hidden=[])) == ["flatten", "fc_out"]


def test_cnn_layers() -> None:
    """Each block doubles the channels and halves the image, odd sizes rounded down."""
    model = cnn.build((3, 9, 12), 10, rng(), width=4, depth=3, dropout=0.5)
    blocks = [f"{kind}{number}" for number in (1, 2, 3) for kind in ("conv", "bn", "relu", "pool")]
    assert names(model) == [*blocks, "flatten", "dropout", "fc_out"]
    shapes = {name: after for name, _, _, after in model.named_shapes()}
    assert (shapes["pool1"], shapes["pool2"], shapes["pool3"]) == ((4, 4, 6), (8, 2, 3), (16, 1, 1))


def test_resnet_layers() -> None:
    """Blocks are numbered through; a shortcut has layers only where the shape changes."""
    model = resnet.build((3, 16, 16), 10, rng(), width=4, blocks=[1, 2])
    body = ["conv1", "bn1", "relu1", "conv2", "bn2"]
    shortcut = ["block2.shortcut.conv", "block2.shortcut.bn"]
    expected = [*(f"block{number}.{name}" for number in (1, 2) for name in body), *shortcut]
    expected += [f"block3.{name}" for name in body]
    assert names(model) == ["conv1", "bn1", "relu1", *expected, "avgpool", "flatten", "fc_out"]
    shapes = {name: after for name, _, _, after in model.named_shapes()}
    assert (shapes["block1.conv2"], shapes["block2.conv2"], shapes["avgpool"]) == ((4, 16, 16), (8, 8, 8), (8, 1, 1))


def test_resnet20_has_the_papers_size() -> None:
    """blocks [3, 3, 3] of width 16 on CIFAR-10 is the paper's ResNet-20: 0.27 million parameters [He et al., 2016]."""
    model = resnet.build((3, 32, 32), 10, rng(), blocks=[3, 3, 3])
    assert round(model.parameter_count() / 1e6, 2) == 0.27


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 4}, r"depth \(images of 8 x 8\) must be an integer from 1 to 3, not 4"),
        ({"width": 0}, r"width \(with depth 2\) must be an integer from 1 to 1024, not 0"),
        ({"depth": 3, "width": 1024}, r"width \(with depth 3\) must be an integer from 1 to 512"),
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"dropout": 1}, "0 <= dropout < 1, not 1"),
    ],
)
def test_cnn_ranges(arguments: dict[str, int], message: str) -> None:
    """The valid range is in the message and depends on the image."""
    with pytest.raises(ValueError, match=message):
        cnn.build((1, 8, 8), 10, rng(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": [0]}, r"hidden\[0\] must be an integer from 1 to 4096, not 0"),
        ({"hidden": 128}, "hidden must be a list of 0 to 16 integers, not 128"),
        ({"activation": "rellu"}, "one of gelu, relu, sigmoid, tanh, not 'rellu'; did you mean 'relu'"),
    ],
)
def test_mlp_ranges(arguments: dict[str, int], message: str) -> None:
    """The valid range is in the message."""
    with pytest.raises(ValueError, match=message):
        mlp.build((1, 8, 8), 10, rng(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": []}, r"blocks \(images of 4 x 6\) must be a list of 1 to 3 integers"),
        ({"blocks": [1, 1, 1, 1]}, "must be a list of 1 to 3 integers"),
        ({"width": 512}, r"width \(with 3 stages\) must be an integer from 1 to 128"),
    ],
)
def test_resnet_ranges(arguments: dict[str, int], message: str) -> None:
    """The valid range is in the message and depends on the image."""
    with pytest.raises(ValueError, match=message):
        resnet.build((1, 4, 6), 10, rng(), **arguments)


def test_cnn_needs_two_pixels() -> None:
    """An image that cannot be halved is an error."""
    with pytest.raises(ValueError, match="at least 2 x 2 pixels, not 1 x 5"):
        cnn.build((1, 1, 5), 10, rng())


@pytest.mark.parametrize(
    ("build", "shape", "arguments"),
    [
        (mlp.build, (1, 8, 8), {"hidden": [4096] * 6}),
        (mlp.build, (3, 1024, 1024), {"hidden": [128]}),
        (cnn.build, (1, 8, 8), {"width": 1024, "depth": 2, "kernel_size": 11}),
        (resnet.build, (1, 8, 8), {"blocks": [16], "width": 512}),
    ],
)
def test_a_network_of_gigabytes_is_not_made(
    build: Callable[..., Network], shape: tuple[int, ...], arguments: dict[str, Any]
) -> None:
    """Its weights are counted before any is drawn: what checks a file may not need 1 GB and 10 s for a line of it."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"would make [\d,]+ weights, more than 67,108,864"):
            build(shape, 10, rng(), **arguments)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("arch", "build"), [("cnn", cnn.build), ("resnet", resnet.build)])
def test_texts_are_no_images(arch: str, build: Callable[..., Network]) -> None:
    """What an architecture reads is said, and which one reads texts."""
    with pytest.raises(ValueError, match=rf"a {arch} reads images, .* not \(128,\); for texts take arch: gpt"):
        build((128,), 10, rng())
