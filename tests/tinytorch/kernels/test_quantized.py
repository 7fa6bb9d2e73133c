"""Integer arithmetic: rounding, saturation, packing, and exact products on float32 BLAS."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import quantized as kernels

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_off_by_half_a_scale_at_most(bits: int, per_channel: bool) -> None:
    """Rounding to integers moves no weight by more than half of its scale, and none saturates."""
    weights = RNG.standard_normal((5, 3, 2)).astype(np.float32)
    q, scale = kernels.quantize_weights(weights, bits, per_channel)
    assert q.dtype == np.int8
    assert scale.shape == ((5,) if per_channel else (1,))
    assert np.abs(q).max() == kernels.QMAX[bits]
    assert np.all(np.abs(q * scale.reshape(-1, 1, 1) - weights) <= scale.reshape(-1, 1, 1) * (0.5 + 1e-5))


def test_per_channel_scales_follow_each_channel() -> None:
    """A channel of small weights keeps its resolution beside one of large weights."""
    weights = np.array([[1.0, -2.0], [0.001, 0.002]], np.float32)
    _, scale = kernels.quantize_weights(weights, 8, per_channel=True)
    np.testing.assert_allclose(scale, [2 / 127, 0.002 / 127], rtol=1e-6)


@pytest.mark.parametrize("weights", [np.zeros((2, 3)), np.zeros((0, 3)), np.zeros((2, 0)), np.full((2, 3), 1e-44)])
def test_weights_without_a_range_become_zeros(weights: np.ndarray) -> None:
    """All-zero, empty and subnormal weights give zeros under positive scales, not NaN."""
    q, scale = kernels.quantize_weights(weights.astype(np.float32), 8, per_channel=True)
    assert q.shape == weights.shape
    assert not q.any()
    assert np.all(scale > 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(bad: float) -> None:
    """NaN and infinity have no integer; the message counts them."""
    with pytest.raises(ValueError, match="1 of 4 weights are NaN or infinite"):
        kernels.quantize_weights(np.array([[1, bad], [0, 2]], np.float32), 8, per_channel=True)


def test_rounding_is_half_to_even_and_saturates() -> None:
    """Halves go to the even neighbour; beyond the range is the range's end, on both sides alike."""
    values = np.array([0.5, 1.5, -2.5, 500, -500, np.inf], np.float32)
    assert kernels.to_integers(values, np.float32(1), 8).tolist() == [0, 2, -2, 127, -127, 127]
    assert kernels.to_integers(values, np.float32(1), 4).tolist() == [0, 2, -2, 7, -7, 7]


def test_each_sample_has_its_own_scale() -> None:
    """A dynamic scale is max|x| / 127 of one sample, so that its neighbours in a batch do not matter."""
    x = RNG.standard_normal((4, 3, 5, 5)).astype(np.float32)
    scale = kernels.activation_scale(x)
    assert scale.shape == (4, 1, 1, 1)
    np.testing.assert_array_equal(scale.ravel(), np.abs(x).max(axis=(1, 2, 3)) / np.float32(127))


def test_a_sample_of_zeros_stays_zeros() -> None:
    """An all-zero sample has a positive scale and rounds to zeros."""
    x = np.zeros((1, 6), np.float32)
    scale = kernels.activation_scale(x)
    assert scale > 0
    assert not kernels.quantize_activations(x, scale, saturate=False).any()


def test_a_dynamic_scale_never_saturates() -> None:
    """Rounding by a sample's own scale stays within ±127 without clipping, down to subnormal values."""
    x = (RNG.standard_normal((200, 64)) * 10.0 ** RNG.integers(-44, 38, (200, 1))).astype(np.float32)
    q = kernels.quantize_activations(x, kernels.activation_scale(x), saturate=False)
    assert np.abs(q).max() == 127


def test_static_activations_saturate() -> None:
    """With a calibrated scale, what exceeds it becomes ±127; NaN stays NaN."""
    x = np.array([[1e30, -np.inf, 0.26, np.nan]], np.float32)
    q = kernels.quantize_activations(x, np.array([0.1], np.float32), saturate=True)
    np.testing.assert_array_equal(q, [[127, -127, 3, np.nan]])


@pytest.mark.parametrize("length", [0, 1, 2, 7, 64])
def test_int4_packing_is_lossless(length: int) -> None:
    """Every value from -8 to 7 survives two to a byte, at odd and even lengths."""
    values = RNG.integers(-8, 8, (3, length)).astype(np.int8)
    packed = kernels.pack_int4(values)
    assert packed.dtype == np.uint8
    assert packed.shape == (3, (length + 1) // 2)
    np.testing.assert_array_equal(kernels.unpack_int4(packed, length), values)


def test_int4_layout_is_low_nibble_first() -> None:
    """The stored layout is fixed: even positions in the low nibble, two's complement, zero padding."""
    assert kernels.pack_int4(np.array([1, -1, 7], np.int8)).tolist() == [0xF1, 0x07]


def test_int4_refuses_what_does_not_fit() -> None:
    """A value of 5 bits is an error, as is a wrong number of bytes."""
    with pytest.raises(ValueError, match="do not fit 4 bits"):
        kernels.pack_int4(np.array([8], np.int8))
    with pytest.raises(ValueError, match="take 2 bytes, not 3"):
        kernels.unpack_int4(np.zeros(3, np.uint8), 4)


@pytest.mark.parametrize("length", [1, 7, 1040, 1041, 3000])
@pytest.mark.parametrize("largest", [1, 127])
def test_exact_products_equal_the_int32_oracle(length: int, largest: int) -> None:
    """Products on float32 BLAS equal int32 arithmetic bit for bit, also where the sum exceeds 2**24."""
    x = RNG.integers(-127, 128, (3, length)).astype(np.int8)
    x[0] = 127
    weights = np.full((4, length), largest, np.int8)
    weights[1:] = RNG.integers(-largest, largest + 1, (3, length))
    blocks = kernels.exact_blocks(weights)
    parts = [weights[:, block].T.astype(np.float32) for block in blocks]
    expected = kernels.linear_int32(x, weights).astype(np.float32)
    np.testing.assert_array_equal(kernels.linear_exact(x.astype(np.float32), parts, blocks), expected)


def test_blocks_are_as_few_as_the_weights_allow() -> None:
    """1,040 products of 127·127 fit below 2**24; smaller weights allow longer sums."""
    assert kernels.exact_blocks(np.full((1, 1040), 127, np.int8)) == (slice(0, 1040),)
    assert len(kernels.exact_blocks(np.full((1, 1041), 127, np.int8))) == 2
    assert len(kernels.exact_blocks(np.full((1, 18_000), 7, np.int8))) == 1
    assert kernels.exact_blocks(np.zeros((3, 0), np.int8)) == (slice(0, 0),)


def test_a_kernel_too_large_for_an_exact_sum_is_refused() -> None:
    """One channel cannot be split: a window beyond the limit is an error, not a wrong sum."""
    with pytest.raises(ValueError, match="too many for an exact float32 sum"):
        kernels.exact_blocks(np.full((1, 1, 33, 32), 127, np.int8))


def test_the_oracle_refuses_sums_that_overflow() -> None:
    """More products than an int32 can sum are an error."""
    with pytest.raises(ValueError, match="overflow"):
        kernels.linear_int32(np.zeros((1, 140_000), np.int8), np.zeros((1, 140_000), np.int8))


@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (0, 0)), ((2, 1), (1, 2))])
def test_the_convolution_oracle_sums_every_window(stride: tuple[int, int], padding: tuple[int, int]) -> None:
    """The int32 convolution equals a sum written out for one output value after the other."""
    x = RNG.integers(-127, 128, (2, 3, 5, 6)).astype(np.int8)
    weights = RNG.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    out = kernels.conv2d_int32(x, weights, stride, padding)
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    for n, o, i, j in np.ndindex(out.shape):
        window = padded[n, :, i * stride[0] : i * stride[0] + 3, j * stride[1] : j * stride[1] + 2]
        assert out[n, o, i, j] == (window * weights[o]).sum()
