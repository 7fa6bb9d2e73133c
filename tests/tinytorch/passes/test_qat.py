"""Training with rounded weights and activations: what is trained is what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core.fitting import FitSettings, fit
from tinytorch.data import load_dataset_module
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models import load_model_module
from tinytorch.models.network import Network
from tinytorch.passes import magnitude_prune, qat, quantize
from tinytorch.passes.qat import Settings, apply
from tinytorch.serialization import dumps

Build = Callable[..., Network]


def accuracy(model: Network, split: Split) -> float:
    return float((model.predict(split.images()).argmax(axis=1) == split.labels).mean())


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": 4},
        {"bits": 4, "weights": "per_group", "group_size": 32, "activations": "none"},
        {"bits": 8, "activations": "static"},
    ],
    ids=str,
)
@pytest.mark.parametrize("arch", ["mlp", "cnn"])
def test_the_accuracy_of_training_is_that_of_the_integers(arch: str, settings: dict[str, Any]) -> None:
    """The last record's accuracy, read while values are rounded, is the stored network's."""
    digits = load_dataset_module("digits").load(None, 0)
    model = load_model_module(arch).build(digits.train.shape, 10, np.random.default_rng(0))
    data = {"train": digits.train, "validation": digits.validation}
    result, _, history = apply(model, Settings(epochs=1, lr=3e-3, **settings), data, 0)
    assert history is not None
    assert accuracy(result, digits.validation) == pytest.approx(history[-1]["validation_accuracy"], abs=0.01)


def test_it_recovers_what_rounding_loses() -> None:
    """A narrow network of 4 bits, all its weights under one scale, loses accuracy; training with it gains some back."""
    digits = load_dataset_module("digits").load(None, 0)
    model = load_model_module("mlp").build(digits.train.shape, 10, np.random.default_rng(0), hidden=[16])
    fit(model, digits.train, None, FitSettings(epochs=10, lr=3e-3), 0)
    scheme: dict[str, Any] = {"bits": 4, "weights": "per_tensor"}
    rounded = quantize.apply(model, quantize.Settings(**scheme), {}, 0)[0]
    trained = apply(model, Settings(**scheme, epochs=5, lr=2e-3), {"train": digits.train}, 0)[0]
    assert accuracy(trained, digits.test) > accuracy(rounded, digits.test)


def test_without_epochs_it_only_rounds(build: Build, train: Split) -> None:
    """Zero epochs give the file of `quantize`."""
    model = build("cnn")
    expected = quantize.apply(model, quantize.Settings(bits=4), {}, 0)[0]
    assert dumps(apply(model, Settings(bits=4, epochs=0), {"train": train}, 0)[0]) == dumps(expected)


def test_pruned_weights_stay_zero(build: Build, train: Split) -> None:
    """Training with rounded weights brings no removed weight back."""
    for arch in ("mlp", "cnn"):
        sparse = magnitude_prune.apply(build(arch), magnitude_prune.Settings(sparsity=0.8), {}, 0)[0]
        result = apply(sparse, Settings(epochs=1, lr=0.01), {"train": train}, 0)[0]
        masks = {name: layer.mask for name, layer in sparse.named_layers() if hasattr(layer, "mask")}
        for name, layer in result.named_layers():
            if name in masks:
                kept = masks[name].T if masks[name].ndim == 2 else masks[name]
                assert not layer.weight.values[~kept].any()


def test_layers_in_float_are_trained_too(build: Build, train: Split) -> None:
    """What stays at 32 bits learns with the rest."""
    model = build("mlp", hidden=[9])
    settings = Settings(bits=4, epochs=1, per_layer={"fc_out": {"bits": 32}})
    result = dict(apply(model, settings, {"train": train}, 0)[0].named_layers())
    before = dict(model.named_layers())["fc_out"].weight.data
    assert type(result["fc_out"]).__name__ == "Linear"
    assert not np.array_equal(result["fc_out"].weight.data, before)


def test_what_cannot_be_trained_is_named(build: Build, train: Split) -> None:
    """Integer layers have no gradient; a learning rate that makes training diverge is reported as such."""
    once = quantize.apply(build("mlp"), quantize.Settings(targets=("fc1",)), {}, 0)[0]
    with pytest.raises(TinyTorchError, match="qat cannot train the quantized layers fc1"):
        apply(once, Settings(except_=("fc1",)), {"train": train}, 0)
    with np.errstate(all="ignore"), pytest.raises(TinyTorchError, match="Training diverged"):
        apply(build("mlp"), Settings(epochs=30, lr=9.9e30), {"train": train}, 0)


def test_the_same_seed_gives_the_same_file(build: Build, train: Split) -> None:
    """Order of samples and calibration follow from the seed."""
    settings = Settings(epochs=2, activations="static", calibration_samples=7)
    files = [dumps(qat.apply(build("mlp"), settings, {"train": train}, seed)[0]) for seed in (1, 1, 2)]
    assert files[0] == files[1] != files[2]
