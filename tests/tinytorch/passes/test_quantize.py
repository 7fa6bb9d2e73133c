"""Turning layers into integers: which, how, with what calibration, and when not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TargetError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import magnitude_prune
from tinytorch.passes.effect import Effect
from tinytorch.passes.quantize import Settings, apply
from tinytorch.serialization import dumps, loads

Build = Callable[..., Network]


def quantize(model: Network, data: Mapping[str, Split] | None = None, **settings: Any) -> tuple[Network, Effect]:
    return apply(model, Settings(**settings), data or {}, 0)[:2]


def kinds(model: Network) -> dict[str, str]:
    return {name: type(layer).__name__ for name, layer in model.named_layers()}


@pytest.mark.parametrize("arch", ["mlp", "cnn", "resnet"])
@pytest.mark.parametrize("activations", ["dynamic", "static", "none"])
@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_int8_stays_close_to_float(
    build: Build, images: np.ndarray, train: Split, arch: str, activations: str, weights: str
) -> None:
    """At 8 bits the outputs move by a few per cent of their spread, whatever the scheme."""
    model = build(arch)
    quantized, _ = quantize(model, {"train": train}, activations=activations, weights=weights)
    expected = model.predict(images)
    assert np.abs(quantized.predict(images) - expected).max() < 0.05 * np.ptp(expected)


def test_layers_with_weights_become_integers_and_batch_norm_stays(build: Build) -> None:
    """Linear layers and convolutions are replaced, everything else is left in float32."""
    assert kinds(quantize(build("cnn", depth=1))[0]) == {
        "conv1": "QuantizedConv2d",
        "bn1": "BatchNorm2d",
        "relu1": "ReLU",
        "pool1": "MaxPool2d",
        "flatten": "Flatten",
        "fc_out": "QuantizedLinear",
    }


@pytest.mark.parametrize(("bits", "ratio"), [(8, 3.7), (4, 7.0)])
def test_stored_bytes_shrink_by_the_bits(build: Build, bits: int, ratio: float) -> None:
    """Bytes are counted in the stored file: close to 4x at 8 bits, close to 8x at 4."""
    model = build("mlp", hidden=[256, 256])
    quantized, effect = quantize(model, bits=bits)
    assert effect.stored_bytes_after == len(dumps(quantized))
    assert len(dumps(model)) / len(dumps(quantized)) > ratio
    assert {(layer.bits_before, layer.bits_after) for layer in effect.layers} == {(32, bits)}
    assert effect.parameters_after == effect.parameters_before


def test_layers_can_have_bits_of_their_own(build: Build) -> None:
    """`per_layer` mixes bits, 32 leaves a layer as it is, and the report says what each layer got."""
    quantized, effect = quantize(build("mlp", hidden=[9, 9]), per_layer={"fc1": {"bits": 4}, "fc_out": {"bits": 32}})
    assert [layer.settings["bits"] for layer in effect.layers] == [4, 8, 32]
    assert kinds(quantized)["fc_out"] == "Linear"


def test_32_bits_is_the_identity(build: Build) -> None:
    """The baseline point of a sweep over bits changes no byte and is no error."""
    model = build("cnn")
    quantized, effect = quantize(model, bits=32)
    assert dumps(quantized) == dumps(model)
    assert effect.stored_bytes_before == effect.stored_bytes_after


def test_static_scales_come_from_training_images(build: Build, train: Split) -> None:
    """A layer's activation scale is the largest input it sees while the float network runs, over 127."""
    model = build("mlp", hidden=[12])
    quantized, _ = quantize(model, {"train": train}, activations="static", calibration_samples=20)
    seen = Network({"flatten": model.layers[0], "fc1": model.layers[1], "relu1": model.layers[2]}, (2, 8, 8))
    largest = np.abs(seen.predict(train.images())).max()
    scale = dict(quantized.named_layers())["fc_out"].activation_scale
    np.testing.assert_allclose(scale, [largest / 127], rtol=1e-5)


def test_calibration_is_drawn_under_the_seed(build: Build, train: Split) -> None:
    """The same seed calibrates on the same images, another one on others."""
    settings = Settings(activations="static", calibration_samples=3)
    files = [dumps(apply(build("mlp"), settings, {"train": train}, seed)[0]) for seed in (1, 1, 2)]
    assert files[0] == files[1] != files[2]


def test_calibration_needs_images(build: Build) -> None:
    """Without training data there are no static scales: an error, not a guess."""
    with pytest.raises(TinyTorchError, match="static activations of fc1, fc_out need training images"):
        quantize(build("mlp"), activations="static")


def test_calibration_on_broken_activations_names_the_layer(build: Build, train: Split) -> None:
    """If the network's activations overflow, the first layer that saw it is named."""
    model = build("mlp", hidden=[4])
    dict(model.named_layers())["fc1"].weight.data[:] = 3e38
    with np.errstate(all="ignore"), pytest.raises(TinyTorchError, match="fc_out: its inputs are NaN or infinite"):
        quantize(model, {"train": train}, activations="static")


def test_quantizing_twice_is_an_error(build: Build) -> None:
    """A layer is quantized once; other layers may follow if the first are left out."""
    once = quantize(build("mlp"), targets=("fc1",))[0]
    with pytest.raises(TinyTorchError, match="fc1: already quantized, cannot be quantized again; quantize once"):
        quantize(once)
    assert kinds(quantize(once, except_=("fc1",))[0])["fc_out"] == "QuantizedLinear"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_name_their_layer(build: Build, bad: float) -> None:
    """NaN and infinity have no integer; the layer is named and the way out said."""
    model = build("mlp")
    dict(model.named_layers())["fc_out"].weight.data[0, 0] = bad
    with pytest.raises(TinyTorchError, match=r"fc_out: 1 of \d+ values are NaN or infinite.*train the model again"):
        quantize(model)


def test_nothing_to_quantize_is_an_error_unless_allowed(build: Build) -> None:
    """A step that leaves out every layer does not pass silently; a misspelt target never does."""
    with pytest.raises(NoEffectError, match="quantize found no layer"):
        quantize(build("mlp"), except_=("*",))
    assert quantize(build("mlp"), except_=("*",), allow_no_effect=True)[1].layers == ()
    with pytest.raises(TargetError, match="Did you mean 'fc_out'"):
        quantize(build("mlp"), targets=("fc_ou",), allow_no_effect=True)


@pytest.mark.parametrize("bits", [8, 4])
def test_pruned_weights_stay_pruned_and_unstored(build: Build, images: np.ndarray, bits: int) -> None:
    """Quantizing a sparse network keeps its zeros and stores integers for the rest only."""
    model = build("mlp", hidden=[64])
    sparse = magnitude_prune.apply(model, magnitude_prune.Settings(sparsity=0.9), {}, 0)[0]
    both, effect = quantize(sparse, bits=bits)
    dense = quantize(model, bits=bits)[0]
    assert len(dumps(both)) < 0.6 * len(dumps(dense))
    assert all(layer.settings["storage"] in ("bitmask", "gaps") for layer in effect.layers)
    assert both.nonzero_count() <= sparse.nonzero_count()
    np.testing.assert_array_equal(loads(dumps(both)).predict(images), both.predict(images))


def test_a_layer_of_zeros_is_quantized_to_zeros(images: np.ndarray) -> None:
    """A layer that computes nothing still does, without division by zero."""
    layer = Linear(4, 3)
    layer.weight.data[:] = 0
    quantized, _ = quantize(Network({"fc1": layer}, (4,)))
    np.testing.assert_array_equal(quantized.predict(images[:, 0, 0, :4]), np.zeros((20, 3)))


def test_a_window_too_large_for_exact_sums_names_its_layer() -> None:
    """A kernel of more than 1,040 values cannot be summed exactly; weight-only quantization still can."""
    model = Network({"conv1": Conv2d(1, 1, 33), "flatten": Flatten()}, (1, 33, 33))
    with pytest.raises(TinyTorchError, match="conv1 cannot be quantized: a window of 1089 values"):
        quantize(model)
    assert kinds(quantize(model, activations="none")[0])["conv1"] == "QuantizedConv2d"


def test_weights_that_run_in_float32_are_simulated() -> None:
    """Of a weight-only convolution only the file is smaller; beside layers in integers it is a warning alone."""
    layers = {"conv1": Conv2d(2, 3, 3), "conv2": Conv2d(3, 4, 3)}
    model = Network(layers, (2, 8, 8))
    effects = [
        quantize(model, activations="none")[1],
        quantize(model, per_layer={"conv1": {"activations": "none"}})[1],
        quantize(model)[1],
    ]
    assert [effect.simulated for effect in effects] == [True, False, False]
    assert effects[0].warnings == ("conv1, conv2: multiplied out to run in float32, so that only the file is smaller",)
    assert [len(effect.warnings) for effect in effects] == [1, 1, 0]
    assert effects[0].stored_bytes_after < effects[0].stored_bytes_before


def test_weight_only_linear_layers_are_not_simulated(build: Build) -> None:
    """Native kernels read their integers; only 8 bits in groups are multiplied out."""
    model = build("mlp", hidden=[12])
    assert not quantize(model, activations="none")[1].simulated
    grouped = {"activations": "none", "weights": "per_group", "group_size": 32, "targets": ("fc1",)}
    assert not quantize(model, bits=4, **grouped)[1].simulated
    assert quantize(model, bits=8, **grouped)[1].simulated


def test_groups_without_a_native_kernel_are_reported(build: Build) -> None:
    """Integer activations with scales by group run in NumPy unless the layer is linear, of 4 bits, and dynamic."""
    model = build("mlp", hidden=[12])
    grouped = {"weights": "per_group", "group_size": 32, "targets": ("fc1",)}
    assert quantize(model, bits=4, **grouped)[1].warnings == ()
    (warning,) = quantize(model, bits=8, **grouped)[1].warnings
    assert warning.startswith("fc1: run in NumPy, which is slow")


def test_an_outlier_among_the_calibration_images_is_reported(build: Build, train: Split, images: np.ndarray) -> None:
    """One pixel of 1000 sets the scale for all images: the warning has the numbers, ordinary images give none."""
    settings = {"activations": "static", "calibration_samples": 20}
    assert quantize(build("mlp", hidden=[12]), {"train": train}, **settings)[1].warnings == ()
    bright = images.copy()
    bright[3, 0, 0, 0] = 1000.0
    data = {"train": Split(bright, train.labels, 1.0, (0.0, 0.0), (1.0, 1.0))}
    first, *_ = quantize(build("mlp", hidden=[12]), data, **settings)[1].warnings
    median = np.median(np.abs(bright).max(axis=(1, 2, 3)))
    assert first.startswith("fc1: the largest of its calibration inputs, 1e+03, sets the scale, but that of the median")
    assert f"leaves it {127 * median / 1000:.1f} of 127 steps" in first
