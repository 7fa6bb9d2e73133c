"""Folding batch norms into the convolutions before them: fewer layers, the same outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d, MaxPool2d
from tinytorch.errors import NoEffectError, TargetError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import low_rank, magnitude_prune, quantize
from tinytorch.passes.effect import Effect
from tinytorch.passes.fuse import Settings, apply

Build = Callable[..., Network]


def fuse(model: Network, **settings: Any) -> tuple[Network, Effect]:
    return apply(model, Settings(**settings), {}, 0)[:2]


def kinds(model: Network) -> dict[str, str]:
    return {name: type(layer).__name__ for name, layer in model.named_layers()}


@pytest.mark.parametrize("arch", ["cnn", "resnet"])
def test_outputs_stay_and_norms_go(build: Build, arch: str, images: np.ndarray) -> None:
    """Of every model with batch norms, in residual blocks and their shortcuts too; the file is smaller."""
    model = build(arch, width=8)
    fused, effect = fuse(model)
    assert "BatchNorm2d" in kinds(model).values()
    assert "BatchNorm2d" not in kinds(fused).values()
    np.testing.assert_allclose(fused.predict(images), model.predict(images), rtol=1e-4, atol=1e-5)
    assert effect.stored_bytes_after < effect.stored_bytes_before
    assert effect.macs_after == effect.macs_before
    norm = next(layer for layer in effect.layers if layer.kind == "BatchNorm2d")
    assert (norm.parameters_after, norm.bytes_after) == (0, 0)


def test_a_convolution_without_bias_gets_one(images: np.ndarray) -> None:
    """The bias is beta minus what the mean comes to."""
    conv, norm = Conv2d(2, 3, 3, bias=False, rng=np.random.default_rng(0)), BatchNorm2d(3)
    norm.beta.data[:] = [1, 2, 3]
    model = Network({"conv": conv, "bn": norm}, (2, 8, 8)).eval()
    fused = fuse(model)[0]
    assert kinds(fused) == {"conv": "Conv2d"}
    np.testing.assert_array_equal(fused.layers[0].bias.data, [1, 2, 3])
    np.testing.assert_allclose(fused.predict(images), model.predict(images), rtol=1e-5, atol=1e-6)


def test_a_pruned_convolution_stays_pruned(build: Build, images: np.ndarray) -> None:
    """The mask of a sparse convolution is kept."""
    model = magnitude_prune.apply(build("cnn", width=8), magnitude_prune.Settings(sparsity=0.8), {}, 0)[0]
    fused = fuse(model)[0]
    np.testing.assert_array_equal(dict(fused.named_layers())["conv1"].mask, dict(model.named_layers())["conv1"].mask)
    np.testing.assert_allclose(fused.predict(images), model.predict(images), rtol=1e-4, atol=1e-5)


def test_a_factorized_convolution_takes_it_in_its_second_layer(build: Build, images: np.ndarray) -> None:
    """A batch norm folds across the end of the two layers that took a convolution's place."""
    model = low_rank.apply(build("cnn", width=16), low_rank.Settings(keep=0.5, targets=("conv2",)), {}, 0)[0]
    fused = fuse(model)[0]
    assert kinds(fused)["conv2.outputs"] == "Conv2d"
    assert "bn2" not in kinds(fused)
    np.testing.assert_allclose(fused.predict(images), model.predict(images), rtol=1e-4, atol=1e-5)


def test_a_norm_after_no_convolution_stays(build: Build) -> None:
    """With a warning that says what is before it."""
    layers = {
        "bn0": BatchNorm2d(2),
        "conv": Conv2d(2, 2, 3),
        "pool": MaxPool2d(2),
        "bn1": BatchNorm2d(2),
        "conv2": Conv2d(2, 2, 1),
        "bn2": BatchNorm2d(2),
        "flatten": Flatten(),
        "fc": Linear(18, 2),
    }
    fused, effect = fuse(Network(layers, (2, 8, 8)))
    assert [name for name in kinds(fused) if name.startswith("bn")] == ["bn0", "bn1"]
    assert effect.warnings == (
        "bn0 stays: no layer comes before it.",
        "bn1 stays: pool (MaxPool2d) before it is no convolution.",
    )


def test_norms_are_chosen_by_name(build: Build) -> None:
    """`targets` and `except` name batch norms; a convolution's name is an error."""
    fused, effect = fuse(build("cnn", width=4, depth=2), except_=("bn2",))
    assert "bn2" in kinds(fused)
    assert "bn1" not in kinds(fused)
    assert [layer.name for layer in effect.layers] == ["conv1", "bn1"]
    with pytest.raises(TargetError, match="'conv1' matches no layer"):
        fuse(build("cnn"), targets=("conv1",))


def test_to_fold_nothing_is_an_error(build: Build) -> None:
    """A network without batch norms, or with quantized convolutions, says why."""
    with pytest.raises(NoEffectError, match="no layer of the types BatchNorm2d"):
        fuse(build("mlp"))
    integers = quantize.apply(build("cnn"), quantize.Settings(), {}, 0)[0]
    with pytest.raises(NoEffectError, match="conv1 before it is quantized already; put fuse before quantize"):
        fuse(integers)


def test_values_that_are_not_finite_are_named(build: Build) -> None:
    """A NaN would spread to the weights."""
    model = build("cnn")
    dict(model.named_layers())["bn1"].running_var[0] = np.nan
    with pytest.raises(TinyTorchError, match=r"bn1: 1 of .* values are NaN"):
        fuse(model)
