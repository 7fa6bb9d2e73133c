"""Quantization as the course calls it, held in real int8 bytes."""

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.spatial import Conv2d, Flatten
from tinytorch.core.tensor import Tensor
from tinytorch.errors import NoEffectError
from tinytorch.olympics import SimpleMLP
from tinytorch.perf.quantization import (
    Int8Tensor,
    QuantizedLinear,
    Quantizer,
    dequantize_int8,
    quantize_int8,
    quantize_model,
    verify_quantization_works,
)
from tinytorch.perf.structure import held_bytes


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(0)


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0, 0.3])
def test_the_error_is_at_most_half_a_scale(rng, shift):
    """Values come back to the nearest step, whatever the range, and int8 is what is held."""
    x = Tensor(rng.normal(size=(20, 30)) + shift)
    q, scale, zero_point = quantize_int8(x)
    assert (q.data.dtype, q.shape, q.memory_footprint()) == (np.int8, (20, 30), 600)
    assert -128 <= zero_point <= 127
    assert scale == pytest.approx((max(x.data.max(), 0) - min(x.data.min(), 0)) / 255)
    assert np.abs(dequantize_int8(q, scale, zero_point).data - x.data).max() <= scale * 0.50001


def test_the_whole_range_of_int8_is_used():
    """The least value becomes -128, the largest 127, also where the zero point is rounded half-way."""
    for low, high in [(-1.0, 1.0), (-0.5, 254.5), (-1.5, 253.5), (-127.5, 127.5), (0.0, 3.0), (-7.0, 0.0)]:
        q, scale, zero_point = quantize_int8(Tensor([low, high]))
        back = dequantize_int8(q, scale, zero_point).data
        assert q.data.min() <= -127
        assert q.data.max() >= 126
        assert np.abs(back - [low, high]).max() <= scale * 0.50001


def test_zero_is_exact_and_constants_work():
    """Pruned weights stay zero; a constant or all-zero tensor has a usable scale."""
    q, scale, zero_point = quantize_int8(Tensor([-1.0, 0.0, 3.0]))
    assert dequantize_int8(q, scale, zero_point).data[1] == 0.0
    for value in (0.0, 4.0, -4.0):
        back = dequantize_int8(*quantize_int8(Tensor([value, value])))
        np.testing.assert_allclose(back.data, [value, value], rtol=1e-6)


@pytest.mark.parametrize("bad", [[], [np.nan], [np.inf, 1.0]])
def test_what_has_no_range_is_refused(bad):
    """Empty tensors, NaN and infinity."""
    with pytest.raises(ValueError, match="finite"):
        quantize_int8(Tensor(bad))


def test_arithmetic_on_int8_tensors_does_not_overflow():
    """100 + 100 is 200, in an ordinary tensor."""
    q = Int8Tensor(np.array([100, -100]))
    total = q + q
    assert type(total) is Tensor
    np.testing.assert_array_equal(total.data, [200, -200])
    assert (q.dtype, q.size, q.numpy().dtype) == (np.int8, 2, np.int8)


@pytest.mark.parametrize(("bits", "bound"), [(8, 0.02), (4, 0.25)])
def test_a_quantized_layer_is_close_and_small(rng, bits, bound):
    """Outputs within the rounding's reach; bytes counted from what is stored."""
    linear = Linear(64, 32, rng=rng)
    x = Tensor(rng.normal(size=(16, 64)))
    layer = QuantizedLinear(linear, bits)
    exact, got = linear.forward(x).data, layer.forward(x).data
    assert np.abs(got - exact).max() / np.abs(exact).max() < bound
    usage = layer.memory_usage()
    assert usage["original_bytes"] == (64 * 32 + 32) * 4
    assert usage["quantized_bytes"] == 64 * 32 * bits // 8 + 4 + 32 * 4 == held_bytes(layer)
    assert usage["compression_ratio"] == usage["original_bytes"] / usage["quantized_bytes"]


def test_a_quantized_layer_shows_its_integers(rng):
    """q_weight·scale is the weight to half a step, in its shape; the bias is kept."""
    linear = Linear(8, 4, rng=rng)
    layer = QuantizedLinear(linear)
    back = dequantize_int8(layer.q_weight, layer.weight_scale, layer.weight_zero_point).data
    assert np.abs(back - linear.weight.data).max() <= layer.weight_scale * 0.5001
    np.testing.assert_array_equal(layer.q_bias.data, linear.bias.data)
    assert layer.parameters() == [layer.q_weight, layer.q_bias]
    assert (layer.output_shape((8,)), layer.macs((8,))) == ((4,), 32)
    assert QuantizedLinear(Linear(2, 2, bias=False)).q_bias is None


def test_calibration_fixes_the_scale(rng):
    """After calibrate() larger inputs saturate; without samples it is refused."""
    layer = QuantizedLinear(Linear(4, 2, bias=False, rng=rng))
    layer.calibrate([Tensor(np.ones((1, 4))), Tensor(np.full((1, 4), -0.5))])
    one, ten = layer(Tensor(np.ones((1, 4)))).data, layer(Tensor(np.full((1, 4), 10.0))).data
    np.testing.assert_array_equal(one, ten)
    with pytest.raises(ValueError, match="at least one"):
        layer.calibrate([])


def test_a_model_is_quantized_in_place(rng):
    """Linear and convolution layers are replaced in attributes and containers, and the model is returned."""
    model = Sequential(Conv2d(1, 4, 3, rng=rng), ReLU(), Flatten(), Linear(16, 3, rng=rng))
    x = Tensor(rng.normal(size=(8, 1, 4, 4)))
    exact, before = model.forward(x).data, held_bytes(model)
    assert quantize_model(model, bits=8) is model
    assert [type(layer).__name__ for layer in model.layers] == ["QuantizedConv2d", "ReLU", "Flatten", "QuantizedLinear"]
    assert np.abs(model.forward(x).data - exact).max() / np.abs(exact).max() < 0.05
    assert held_bytes(model) < before / 2
    mlp = quantize_model(SimpleMLP(), calibration_data=[Tensor(rng.normal(size=(5, 10)))])
    assert isinstance(mlp.fc1, QuantizedLinear)
    assert mlp.fc2.config()["activations"] == "static"


def test_there_must_be_something_to_quantize():
    """No layer, or bits that do not exist, are errors."""
    with pytest.raises(NoEffectError, match="found no Linear"):
        quantize_model(Sequential(ReLU()))
    with pytest.raises(ValueError, match="bits must be one of 8, 4"):
        quantize_model(SimpleMLP(), bits=3)


def test_quantizer_reports_real_bytes(rng):
    """Every parameter as int8 with scale and zero point; the model is left alone."""
    model = Linear(100, 100, rng=rng)
    info = Quantizer.quantize_model(model)
    part = info["quantized_layers"]["param_0"]
    assert (part["quantized"].data.dtype, part["original_shape"]) == (np.int8, (100, 100))
    assert info["original_size_mb"] == 10100 * 4 / 2**20
    assert info["quantized_size_mb"] == (10100 + 2 * 8) / 2**20
    sizes = Quantizer.compare_models(model, info)
    assert sizes["compression_ratio"] == info["compression_ratio"] == pytest.approx(40400 / 10116)
    assert sizes["memory_saved_mb"] == sizes["original_mb"] - sizes["quantized_mb"]
    q = Quantizer.quantize_tensor(model.weight)
    np.testing.assert_array_equal(Quantizer.dequantize_tensor(*q).data, dequantize_int8(*q).data)


def test_verification_looks_at_the_bytes(rng):
    """Only a model with smaller integer arrays is verified."""
    model, other = SimpleMLP(10, 50, 3), SimpleMLP(10, 50, 3)
    assert verify_quantization_works(model, other)["verified"] is False
    facts = verify_quantization_works(model, quantize_model(other))
    assert facts["verified"] is True
    assert facts["actual_reduction"] == facts["original_mb"] / facts["quantized_mb"]
