"""Layers with integer weights: equal to the oracle bit for bit, stored as small as they claim, safe to load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError
from tinytorch.kernels import quantized as kernels
from tinytorch.kernels import reference
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear, QuantizedWeight, Scheme

SCHEMES = [
    Scheme(bits, weights, activations)
    for bits in (8, 4)
    for weights in ("per_channel", "per_tensor")
    for activations in ("dynamic", "static")
] + [
    Scheme(4, "per_group", "dynamic", 32),
    Scheme(4, "per_group", "static", 64),
    Scheme(8, "per_group", "dynamic", 128),
]
STATIC_SCALE = np.array([0.02], np.float32)


def linear(scheme: Scheme, inputs: int = 70, outputs: int = 9, bias: bool = True) -> QuantizedLinear:
    rng = np.random.default_rng(3)
    weight = QuantizedWeight.of(rng.standard_normal((outputs, inputs)).astype(np.float32), scheme)
    values = rng.standard_normal(outputs).astype(np.float32) if bias else None
    scale = STATIC_SCALE if scheme.activations == "static" else None
    return QuantizedLinear(LinearGeometry(inputs, outputs), weight, values, scheme, scale)


def conv(scheme: Scheme, channels: int = 5, kernel: tuple[int, int] = (3, 2)) -> QuantizedConv2d:
    rng = np.random.default_rng(4)
    geometry = ConvGeometry(channels, 6, kernel, (2, 1), (1, 0))
    weight = QuantizedWeight.of(rng.standard_normal(geometry.weight_shape).astype(np.float32), scheme)
    scale = STATIC_SCALE if scheme.activations == "static" else None
    return QuantizedConv2d(geometry, weight, rng.standard_normal(6).astype(np.float32), scheme, scale)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("inputs", [1, 70, 3000])
def test_linear_equals_the_oracle_bit_for_bit(scheme: Scheme, inputs: int) -> None:
    """Float32 BLAS gives exactly what int32 arithmetic gives, in one block of the reduction or several."""
    layer, x = linear(scheme, inputs), normal(4, inputs)
    expected = kernels.quantized_linear_int32(
        x, layer.weight.values, layer.weight.scale, layer.bias, layer.activation_scale, scheme.group_size
    )
    np.testing.assert_array_equal(layer(Tensor(x)).data, expected)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("channels", [1, 5, 300])
def test_conv_equals_the_oracle_bit_for_bit(scheme: Scheme, channels: int) -> None:
    """The same for convolutions, stride, padding and oblong kernels included."""
    layer, x = conv(scheme, channels), normal(2, channels, 6, 5)
    geometry = layer.geometry
    expected = kernels.quantized_conv2d_int32(
        x,
        layer.weight.values,
        layer.weight.scale,
        layer.bias,
        geometry.stride,
        geometry.padding,
        layer.activation_scale,
        scheme.group_size,
    )
    np.testing.assert_array_equal(layer(Tensor(x)).data, expected)


def test_sums_beyond_two_to_the_24_are_exact() -> None:
    """Constant weights and inputs, the worst case, are split into blocks and still equal the oracle."""
    scheme = Scheme()
    weight = QuantizedWeight.of(np.ones((1, 5000), np.float32), scheme)
    layer = QuantizedLinear(LinearGeometry(5000, 1), weight, None, scheme)
    assert layer(Tensor(np.ones((1, 5000)))).data[0, 0] == pytest.approx(5000, rel=1e-6)
    image = QuantizedWeight.of(np.ones((1, 900, 2, 2), np.float32), scheme)
    convolution = QuantizedConv2d(ConvGeometry(900, 1, (2, 2), (1, 1), (0, 0)), image, None, scheme)
    assert convolution(Tensor(np.ones((1, 900, 2, 2)))).data.item() == pytest.approx(3600, rel=1e-6)


@pytest.mark.parametrize("settings", [{"bits": 8}, {"bits": 4}, {"bits": 4, "weights": "per_group", "group_size": 32}])
def test_weight_only_multiplies_what_the_integers_stand_for(settings: dict[str, Any]) -> None:
    """Without activation quantization the result is that of the dequantized float weights."""
    layer, x = linear(Scheme(**settings, activations="none")), normal(3, 70)
    expected = x @ layer.weight.dequantized().T + layer.bias
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-5, atol=1e-5)
    image, images = conv(Scheme(**settings, activations="none")), normal(2, 5, 6, 5)
    expected = reference.conv2d(images, image.weight.dequantized(), image.bias, (2, 1), (1, 0))
    np.testing.assert_allclose(image(Tensor(images)).data, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activations", ["dynamic", "static"])
def test_a_sample_does_not_depend_on_its_batch(activations: str) -> None:
    """Every sample's output has the same bits alone as in a batch of very different ones."""
    layer = linear(Scheme(activations=activations))
    x = normal(6, 70) * np.array([1, 1e-3, 100, 0, 5, 1e6], np.float32)[:, None]
    together = layer(Tensor(x)).data
    alone = np.concatenate([layer(Tensor(x[i : i + 1])).data for i in range(6)])
    np.testing.assert_array_equal(together, alone)


def test_non_finite_activations_spoil_their_own_sample_only() -> None:
    """NaN and infinity give NaN outputs for that sample, as fp32 would, and leave the others alone."""
    layer, x = linear(Scheme()), normal(3, 70)
    clean = layer(Tensor(x)).data
    x[0, 5], x[2, 1] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        out = layer(Tensor(x)).data
    assert np.isnan(out[[0, 2]]).all()
    np.testing.assert_array_equal(out[1], clean[1])


def test_static_activations_saturate_in_the_layer() -> None:
    """An input beyond the calibrated range counts as the range's end, infinity included."""
    layer = linear(Scheme(activations="static"))
    edge = np.full((1, 70), 127 * STATIC_SCALE[0], np.float32)
    for beyond in (edge * 3, np.full_like(edge, np.inf)):
        np.testing.assert_array_equal(layer(Tensor(beyond)).data, layer(Tensor(edge)).data)


@pytest.mark.parametrize("activations", ["dynamic", "static", "none"])
def test_empty_batches_pass(activations: str) -> None:
    """No samples in, no samples out."""
    assert linear(Scheme(activations=activations))(Tensor(np.zeros((0, 70)))).shape == (0, 9)
    assert conv(Scheme(activations=activations))(Tensor(np.zeros((0, 5, 6, 5)))).shape == (0, 6, 3, 4)


def test_leading_axes_are_kept() -> None:
    """A linear layer maps the last axis of any number of axes, each vector with a scale of its own."""
    layer, x = linear(Scheme()), normal(2, 3, 70)
    np.testing.assert_array_equal(layer(Tensor(x)).data, layer(Tensor(x.reshape(6, 70))).data.reshape(2, 3, 9))


@pytest.mark.parametrize("layer", [linear(s) for s in SCHEMES] + [conv(s) for s in SCHEMES], ids=repr)
def test_config_and_state_rebuild_the_layer(layer: Any) -> None:
    """A layer built from what is stored computes the same bits."""
    x = Tensor(normal(2, 70) if isinstance(layer, QuantizedLinear) else normal(2, 5, 6, 5))
    again = type(layer).from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(again(x).data, layer(x).data)
    assert again.config() == layer.config()


def test_groups_follow_their_weights() -> None:
    """Each group of inputs has a scale from its own weights; groups of all inputs compute what one scale each does."""
    weights = normal(3, 70)
    weights[:, 32:64] *= 100
    grouped = QuantizedWeight.of(weights, Scheme(4, "per_group", "none", 32))
    assert grouped.scale.shape == (3, 3)
    np.testing.assert_array_equal(grouped.scale[:, 2], np.abs(weights[:, 64:]).max(axis=1) / np.float32(7))
    assert np.all(np.abs(grouped.dequantized() - weights) <= np.repeat(grouped.scale, 32, axis=1)[:, :70] * 0.5001)
    one, each = linear(Scheme(4, "per_group", "dynamic", 128)), linear(Scheme(4))
    np.testing.assert_array_equal(one(Tensor(normal(2, 70))).data, each(Tensor(normal(2, 70))).data)


@pytest.mark.parametrize(
    ("weights", "size"), [("per_group", None), ("per_group", 7), ("per_group", True), ("per_channel", 64)]
)
def test_a_group_size_goes_with_groups(weights: str, size: Any) -> None:
    """Scales by group need one of the sizes that kernels know; other scales have none."""
    with pytest.raises(ValueError, match="group_size must be one of"):
        Scheme(4, weights, "dynamic", size)


def test_weights_are_stored_as_bytes_and_nibbles() -> None:
    """8 bits take one byte a weight, 4 bits half a byte, an odd row rounded up; nothing else is weight-sized."""
    assert {name: array.nbytes for name, array in linear(Scheme(8), 7, 3).state().items()} == {
        "weight": 21,
        "scale": 12,
        "bias": 12,
    }
    assert {
        name: array.nbytes for name, array in linear(Scheme(4, "per_tensor"), 7, 3, bias=False).state().items()
    } == {
        "weight": 12,
        "scale": 4,
    }


def test_a_forward_pass_stores_nothing() -> None:
    """The float copy prepared for execution is reported as working set and never part of the state."""
    layer = linear(Scheme())
    before = {name: array.nbytes for name, array in layer.state().items()}
    layer(Tensor(normal(1, 70)))
    assert {name: array.nbytes for name, array in layer.state().items()} == before
    assert layer.working_set_bytes() == 4 * 70 * 9 + 2 * 4 * 9


def test_counts_are_those_of_the_weights_it_stands_for() -> None:
    """Parameters are weights and biases, whatever they are packed into; none is trainable."""
    layer = linear(Scheme(4))
    assert layer.parameter_count() == 70 * 9 + 9
    assert layer.nonzero_count() == np.count_nonzero(layer.weight.values) + 9
    assert layer.parameters() == []


def test_shapes_and_macs_are_those_of_the_float_layer() -> None:
    """Output shape and multiply-accumulates follow from the sizes alone; a wrong input is an error that says why."""
    assert conv(Scheme()).output_shape((5, 6, 5)) == (6, 3, 4)
    assert conv(Scheme()).macs((5, 6, 5)) == 6 * 3 * 4 * 5 * 3 * 2
    assert linear(Scheme()).macs((70,)) == 630
    with pytest.raises(ValueError, match="last axis must be 70"):
        linear(Scheme())(Tensor(normal(1, 71)))
    with pytest.raises(ValueError, match=r"not \(5, height, width\)"):
        conv(Scheme())(Tensor(normal(1, 4, 6, 5)))


@pytest.mark.parametrize(
    ("config", "arrays", "message"),
    [
        ({"bits": 3}, {}, "bits must be one of 8, 4"),
        ({"bits": True}, {}, "bits must be one of 8, 4"),
        ({"storage": "zip"}, {}, "storage 'zip'"),
        ({"in_features": -1}, {}, "in_features must be an integer of at least 1"),
        ({"in_features": 71}, {}, "not what it declares"),
        ({"activations": "static"}, {}, "activation_scale must be float32"),
        ({"weights": "per_group"}, {}, "group_size must be one of 32, 64, 128"),
        ({"weights": "per_group", "group_size": 32}, {}, r"scale must be float32 of shape \(9, 3\)"),
        ({"bias": False}, {}, "needs the arrays"),
        ({}, {"weight": None}, "are missing"),
        ({}, {"scale": np.ones(8, np.float32)}, "scale must be float32"),
        ({}, {"weight": np.zeros((9, 70), np.float32)}, "holds int8 values"),
        ({}, {"weight": np.full((9, 70), -128, np.int8)}, "outside the symmetric range"),
        ({}, {"other": np.zeros(1, np.float32)}, "but got"),
    ],
)
def test_a_state_that_contradicts_the_config_is_refused(config: dict, arrays: dict, message: str) -> None:
    """What a file declares is checked: sizes, types, ranges, and that there is nothing missing or superfluous."""
    layer = linear(Scheme())
    state = {name: array for name, array in {**layer.state(), **arrays}.items() if array is not None}
    with pytest.raises(ModelFileError, match=message):
        QuantizedLinear.from_state({**layer.config(), **config}, state)


def test_a_pruned_layer_is_stored_sparse_where_that_is_smaller() -> None:
    """Zeros of a pruned layer are left out of the file at 8 and 4 bits, and the outputs stay the same."""
    weight = normal(64, 64) * (np.random.default_rng(1).random((64, 64)) < 0.1)
    for bits, storage in ((8, "gaps"), (4, "gaps")):
        scheme = Scheme(bits)
        sparse = QuantizedWeight.of(weight.astype(np.float32), scheme, is_sparse=True)
        assert sparse.storage == storage
        layer = QuantizedLinear(LinearGeometry(64, 64), sparse, None, scheme)
        dense = QuantizedLinear(LinearGeometry(64, 64), QuantizedWeight.of(weight, scheme), None, scheme)
        assert sum(a.nbytes for a in layer.state().values()) < 0.7 * sum(a.nbytes for a in dense.state().values())
        again = QuantizedLinear.from_state(layer.config(), layer.state())
        np.testing.assert_array_equal(again(Tensor(normal(2, 64))).data, dense(Tensor(normal(2, 64))).data)
