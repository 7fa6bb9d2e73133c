"""Two layers for one: the best approximation of a lower rank, where it is smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import finetune, magnitude_prune, quantize
from tinytorch.passes.effect import Effect
from tinytorch.passes.low_rank import Settings, apply
from tinytorch.serialization import dumps, loads

Build = Callable[..., Network]


def factorize(model: Network, **settings: Any) -> tuple[Network, Effect]:
    return apply(model, Settings(**settings), {}, 0)[:2]


def low_rank_linear(rank: int, inputs: int = 40, outputs: int = 30) -> Linear:
    rng = np.random.default_rng(0)
    layer = Linear(inputs, outputs)
    layer.weight.data = (rng.standard_normal((inputs, rank)) @ rng.standard_normal((rank, outputs))).astype(np.float32)
    layer.bias.data = rng.standard_normal(outputs).astype(np.float32)
    return layer


def test_a_layer_of_low_rank_is_found_out() -> None:
    """Weights of rank 3 become two layers of 3, which compute the same."""
    model = Network({"fc": low_rank_linear(3)}, (40,))
    result, effect = factorize(model, keep=0.9999999)
    layers = dict(result.named_layers())
    assert {name: layer.weight.shape for name, layer in layers.items()} == {"fc.inputs": (40, 3), "fc.outputs": (3, 30)}
    assert layers["fc.inputs"].bias is None
    x = np.random.default_rng(1).standard_normal((5, 40)).astype(np.float32)
    np.testing.assert_allclose(result.predict(x), model.predict(x), rtol=1e-4, atol=1e-4)
    assert (effect.macs_before, effect.macs_after) == (1200, 210)
    assert effect.layers[0].settings["rank_after"] == 3


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.8])
def test_energy_is_that_of_the_singular_values(build: Build, keep: float) -> None:
    """The rank is the least whose squared singular values come to the share; the error is that of the others."""
    model = build("mlp", hidden=[64])
    result, effect = factorize(model, keep=keep, targets=("fc1",))
    before, parts = dict(model.named_layers())["fc1"].weight.data, dict(result.named_layers())
    values = np.linalg.svd(before, compute_uv=False).astype(np.float64) ** 2
    rank = effect.layers[0].settings["rank_after"]
    assert values[:rank].sum() >= keep * values.sum() > values[: rank - 1].sum()
    product = parts["fc1.inputs"].weight.data @ parts["fc1.outputs"].weight.data
    np.testing.assert_allclose(np.sum((product - before) ** 2), values[rank:].sum(), rtol=1e-3)


@pytest.mark.parametrize("keep", [0.1, 0.25, 0.5])
def test_by_weights_the_share_is_that_of_the_size(build: Build, keep: float) -> None:
    """Both layers together have no more than the share of the weights, and one rank more would have more."""
    model = build("cnn", width=16)
    effect = factorize(model, keep=keep, rank_by="weights", except_=("conv1",))[1]
    for layer in effect.layers:
        if layer.settings["rank_after"] > 1:
            shrunk = layer.macs_after / layer.macs_before
            assert shrunk <= keep < shrunk * (1 + 1 / layer.settings["rank_after"])


def test_a_convolution_becomes_a_narrow_one_and_one_of_1x1(images: np.ndarray) -> None:
    """Window, stride and padding are the first one's, the bias the second's; at full rank they compute the same."""
    rng = np.random.default_rng(0)
    conv = Conv2d(2, 12, (3, 2), stride=(2, 1), padding=(1, 0), rng=rng)
    conv.weight.data = np.repeat(conv.weight.data[:3], 4, axis=0)  # of rank 3
    model = Network({"conv": conv}, (2, 8, 8))
    result = factorize(model, keep=0.999999)[0]
    inputs, outputs = (layer for _, layer in result.named_layers())
    assert (inputs.config()["out_channels"], inputs.config()["stride"], inputs.bias) == (3, [2, 1], None)
    assert outputs.config() == {
        **conv.config(),
        "in_channels": 3,
        "kernel_size": [1, 1],
        "stride": [1, 1],
        "padding": [0, 0],
    }
    np.testing.assert_allclose(result.predict(images), model.predict(images), rtol=1e-4, atol=1e-5)
    assert dumps(loads(dumps(result))) == dumps(result)


def test_a_layer_that_would_not_be_smaller_stays(build: Build) -> None:
    """With a warning; if that is all layers, with an error."""
    model = build("mlp", hidden=[64])
    result, effect = factorize(model, keep=0.5, per_layer={"fc_out": {"keep": 0.999}})
    assert [name for name, _ in result.named_layers()][-1] == "fc_out"
    assert effect.warnings == ("fc_out: kept, because two layers that keep as much are not smaller",)
    with pytest.raises(NoEffectError, match="none of fc1, fc_out would be smaller as two"):
        factorize(model, keep=0.999)


def test_a_layer_kept_whole_is_no_warning(build: Build) -> None:
    """`keep: 1` asks for nothing."""
    effect = factorize(build("mlp", hidden=[64]), keep=1.0, per_layer={"fc1": {"keep": 0.5}})[1]
    assert effect.warnings == ()
    assert {layer.name: layer.settings["keep"] for layer in effect.layers} == {"fc1": 0.5, "fc_out": 1.0}


def test_the_report_is_of_the_layers_before(build: Build) -> None:
    """Two layers that took one's place are reported under its name, as their sum."""
    model = build("mlp", hidden=[64])
    result, effect = factorize(model, keep=0.25, rank_by="weights", targets=("fc1",))
    (layer,) = effect.layers
    parts = [part for name, part in result.named_layers() if name.startswith("fc1.")]
    assert layer.name == "fc1"
    assert layer.settings["rank_before"] == 64
    assert layer.parameters_after == sum(part.parameter_count() for part in parts)
    assert effect.stored_bytes_after == len(dumps(result))


def test_other_passes_take_its_result(build: Build, train: Any) -> None:
    """The two layers can be trained, pruned and quantized like any, by the name of the one or by their own."""
    model = factorize(build("mlp", hidden=[64]), keep=0.5)[0]
    trained = finetune.apply(model, finetune.Settings(epochs=1), {"train": train}, 0)[0]
    assert not np.array_equal(trained.layers[1].layers[0].weight.data, model.layers[1].layers[0].weight.data)
    settings = quantize.Settings(per_layer={"fc1": {"bits": 4}, "fc1.outputs": {"bits": 32}})
    layers = dict(quantize.apply(trained, settings, {}, 0)[0].named_layers())
    assert layers["fc1.inputs"].scheme.bits == 4
    assert isinstance(layers["fc1.outputs"], Linear)
    assert layers["fc_out"].scheme.bits == 8 if "fc_out" in layers else layers["fc_out.inputs"].scheme.bits == 8


def test_a_pruned_or_quantized_layer_cannot_be_factorized(build: Build) -> None:
    """Its zeros or integers would be lost; the error says what to do."""
    model = build("mlp", hidden=[64])
    sparse = magnitude_prune.apply(model, magnitude_prune.Settings(targets=("fc1",)), {}, 0)[0]
    with pytest.raises(TinyTorchError, match=r"fc1: already pruned, cannot be factorized; put low_rank before prune"):
        factorize(sparse, keep=0.3)
    assert factorize(sparse, keep=0.3, except_=("fc1",))[1].layers[0].name == "fc_out"


def test_a_layer_of_zeros_is_of_rank_one() -> None:
    """Nothing to keep is kept by the least there is."""
    layer = Linear(8, 8)
    layer.weight.data[:] = 0
    effect = factorize(Network({"flatten": Flatten(), "fc": layer}, (8, 1)), keep=0.5)[1]
    assert effect.layers[0].settings["rank_after"] == 1
