"""Error compensation as a pass: what it gains, what it needs, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core.fitting import FitSettings, fit
from tinytorch.data import load_dataset_module
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.models import load_model_module
from tinytorch.models.network import Network
from tinytorch.passes import gptq, magnitude_prune, quantize
from tinytorch.passes.gptq import Settings, apply
from tinytorch.runtime.quantized import QuantizedConv2d
from tinytorch.serialization import dumps

Build = Callable[..., Network]


@pytest.fixture(scope="module")
def digits() -> Any:
    """The dataset."""
    return load_dataset_module("digits").load(None, 0)


@pytest.fixture(scope="module", params=[("mlp", {"hidden": [128, 128]}), ("cnn", {"width": 8})], ids=str)
def trained(request: pytest.FixtureRequest, digits: Any) -> Network:
    """A network that has learned the digits for a few epochs."""
    arch, args = request.param
    model = load_model_module(arch).build(digits.train.shape, 10, np.random.default_rng(0), **args)
    fit(model, digits.train, None, FitSettings(epochs=3), 0)
    assert isinstance(model, Network)
    return model


@pytest.mark.parametrize("weights", ["per_channel", "per_group"])
def test_logits_of_unseen_images_stay_nearer(trained: Network, digits: Any, weights: str) -> None:
    """At 4 bits, weight-only, the squared error of the test images' logits is less than half of rounding's."""
    images = digits.test.images()
    expected, error = trained.predict(images), {}
    for technique in (quantize, gptq):
        settings = technique.Settings(bits=4, weights=weights, activations="none")
        result = technique.apply(trained, settings, {"train": digits.train}, 0)[0]
        error[technique] = float(np.square(result.predict(images) - expected).sum())
    assert error[gptq] < error[quantize] / 2


def test_files_are_as_small_as_after_rounding(build: Build, train: Split) -> None:
    """Only the values of the integers differ: types, storage and bytes are those of `quantize`."""
    for arch in ("mlp", "resnet"):
        model = build(arch)
        settings = {"bits": 4, "weights": "per_group", "group_size": 32}
        compensated = apply(model, Settings(**settings), {"train": train}, 0)[0]
        nearest = quantize.apply(model, quantize.Settings(**settings), {}, 0)[0]
        assert len(dumps(compensated)) == len(dumps(nearest))
        assert dumps(compensated) != dumps(nearest)


def test_pruned_weights_stay_pruned(build: Build, train: Split) -> None:
    """A sparse network keeps its zeros, and stores the rest only."""
    for arch in ("mlp", "cnn"):
        sparse = magnitude_prune.apply(build(arch), magnitude_prune.Settings(sparsity=0.8), {}, 0)[0]
        result = apply(sparse, Settings(bits=4), {"train": train}, 0)[0]
        nearest = quantize.apply(sparse, quantize.Settings(bits=4), {}, 0)[0]
        assert result.nonzero_count() <= sparse.nonzero_count()
        assert abs(len(dumps(result)) - len(dumps(nearest))) < 0.05 * len(dumps(nearest))


def test_windows_are_seen_as_the_convolution_multiplies_them(build: Build, images: np.ndarray, train: Split) -> None:
    """With 8 bits the compensated convolution computes what the float one does: strides and padding included."""
    model = build("resnet")
    result = apply(model, Settings(bits=8, activations="none"), {"train": train}, 0)[0]
    assert any(isinstance(layer, QuantizedConv2d) for _, layer in result.named_layers())
    expected = model.predict(images)
    assert np.abs(result.predict(images) - expected).max() < 0.05 * np.ptp(expected)


def test_it_needs_training_images(build: Build) -> None:
    """Without any there is nothing to compensate on; with nothing to quantize they are not missed."""
    with pytest.raises(TinyTorchError, match="compensated weights need training images"):
        apply(build("mlp"), Settings(bits=4), {}, 0)
    assert dumps(apply(build("mlp"), Settings(bits=32), {}, 0)[0]) == dumps(build("mlp"))
    with pytest.raises(NoEffectError, match="found no layer"):
        apply(build("mlp"), Settings(except_=("*",)), {}, 0)


def test_the_seed_draws_the_images(build: Build, train: Split) -> None:
    """The same seed gives the same file, another one other integers."""
    settings = Settings(bits=4, calibration_samples=5)
    files = [dumps(apply(build("mlp"), settings, {"train": train}, seed)[0]) for seed in (1, 1, 2)]
    assert files[0] == files[1] != files[2]
