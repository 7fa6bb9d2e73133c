"""The native convolutions against NumPy, on each instruction set that this processor has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tinytorch.kernels import native, quantized, reference

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = native.isas()
Pair = tuple[int, int]
Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One convolution of random numbers: x (N, H, W, C), weight (O, C, kh, kw)."""

    image: tuple[int, int, int, int] = (2, 6, 7, 5)
    outputs: int = 18
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Pair = (1, 1)
    act: int = 0
    has_bias: bool = True
    has_addend: bool = False

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return x, the weight and the bias."""
        rng = np.random.default_rng(sum(self.image) + self.outputs)
        x = rng.standard_normal(self.image, np.float32)
        weight = rng.standard_normal((self.outputs, self.image[3], *self.kernel), np.float32)
        return x, weight, rng.standard_normal(self.outputs, np.float32) if self.has_bias else None

    def dims(self) -> tuple[int, ...]:
        """Return the dimensions of the operation, but for the number of weight scales."""
        _, height, width, channels = self.image
        windows = (*self.kernel, *self.stride, *self.padding)
        return (channels, height, width, self.outputs, *windows, self.act, int(self.has_addend))

    def finished(self, y: np.ndarray, addend: np.ndarray) -> np.ndarray:
        """Return (N, O, H', W') channels last, after what the operation does besides convolving."""
        y = np.ascontiguousarray(y.transpose(0, 2, 3, 1))
        y = y + addend if self.has_addend else y
        return np.maximum(y, 0) if self.act else y


CASES = {
    "padded": Case(),
    "no padding": Case(padding=(0, 0)),
    "one of everything": Case((1, 1, 1, 1), 1, (1, 1), padding=(0, 0)),
    "1x1": Case((3, 5, 4, 33), 50, (1, 1), padding=(0, 0)),
    "1x1, strided": Case((1, 7, 7, 16), 32, (1, 1), (2, 2), (0, 0)),
    "grey digits": Case((3, 8, 8, 1), 16, act=1),
    "three colours": Case((1, 9, 11, 3), 8),
    "ten outputs": Case((1, 8, 8, 10), 10, act=1),
    "long and uneven": Case((2, 9, 8, 4), 34, (4, 1), (3, 2), (2, 0)),
    "kernel as large as the image": Case((2, 4, 3, 6), 7, (4, 3), padding=(0, 0)),
    "more padding than kernel": Case((1, 3, 2, 2), 17, (2, 2), (1, 1), (3, 4)),
    "no bias": Case(has_bias=False),
    "residual": Case((2, 8, 8, 16), 48, act=1, has_addend=True),
    "several blocks": Case((1, 40, 40, 40), 16),
    "strides beyond the image": Case((1, 3, 3, 4), 5, stride=(2**31 - 1, 2**31 - 1)),
    "by transformed tiles": Case((2, 10, 8, 32), 32, act=1),
    "tiles over the edges": Case((2, 11, 9, 48), 16, padding=(1, 0)),
    "tiles without padding": Case((1, 9, 11, 32), 48, padding=(0, 0), has_bias=False),
    "tiles of a residual": Case((1, 12, 12, 32), 64, act=1, has_addend=True),
    "several blocks of tiles": Case((1, 45, 43, 32), 16),
}


def run(case: Case, kind: str, arrays: Arrays, x: np.ndarray, addend: np.ndarray, isa: str, threads: int) -> np.ndarray:
    """Run one convolution; an addend is what `addend_of` says, made by another operation."""
    sample, size = x[0].nbytes, addend[0].nbytes
    dims = case.dims() + ((len(arrays[1]),) if kind == "conv2d_i8" else ())
    out = np.full_like(addend, -77)
    if not case.has_addend:
        native.Program([(kind, (0, 1), dims, (), arrays)], (sample, size), len(x), threads, isa).run(x, out)
        return out
    # The addend is what a 1x1 convolution with an identity makes of x, which is chosen to have as many pixels.
    count = addend.shape[3]
    spread = np.zeros((count, case.image[3], 1, 1), np.float32)
    spread[np.arange(count), np.arange(count) % case.image[3], 0, 0] = 1
    copy = ("conv2d_f32", (0, 2), (*case.dims()[:3], count, 1, 1, 1, 1, 0, 0, 0, 0), (), (spread, None))
    ops = [copy, (kind, (0, 1, 2), dims, (), arrays)]
    native.Program(ops, (sample, size, size), len(x), threads, isa).run(x, out)
    return out


def addend_of(case: Case, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return what the addend holds: the channels of x over and over; zeros where the case has none."""
    if not case.has_addend:
        return np.zeros(shape, np.float32)
    return np.ascontiguousarray(x[..., np.arange(case.outputs) % case.image[3]])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_float32_agrees_with_numpy(case: Case, threads: int, isa: str) -> None:
    """To one part in 100,000 of the sum of absolute products, whatever the shape."""
    x, weight, bias = case.arrays()
    planar = x.transpose(0, 3, 1, 2)
    y = reference.conv2d(planar, weight, bias, case.stride, case.padding).transpose(0, 2, 3, 1)
    addend = addend_of(case, x, y.shape)
    expected = case.finished(y.transpose(0, 3, 1, 2), addend)
    size = reference.conv2d(np.abs(planar), np.abs(weight), None, case.stride, case.padding).transpose(0, 2, 3, 1)
    out = run(case, "conv2d_f32", (weight, bias), x, addend, isa, threads)
    assert np.all(np.abs(out - expected) <= 1e-5 * (1 + size + np.abs(addend)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("extreme", [np.nan, np.inf, -np.inf, 3e38])
def test_extreme_numbers_reach_the_windows_that_see_them(extreme: float, isa: str) -> None:
    """Also where a sum of several inputs is on the way to the output: none of these becomes NaN or infinite by it."""
    case = Case((2, 9, 9, 32), 32)
    x, weight, bias = case.arrays()
    weight *= np.float32(1e-3)
    x[1, 4, 5, 6] = extreme
    with np.errstate(invalid="ignore"):
        y = reference.conv2d(x.transpose(0, 3, 1, 2), weight, bias, case.stride, case.padding).transpose(0, 2, 3, 1)
    out = run(case, "conv2d_f32", (weight, bias), x, np.zeros(y.shape, np.float32), isa, 1)
    np.testing.assert_allclose(out, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("height", [1, 5, 15, 16])
def test_every_division_among_threads_gives_the_same(height: int) -> None:
    """Also more threads than rows, and blocks that do not divide the image."""
    case = Case((1, height, 40, 32), 64)
    x, weight, bias = case.arrays()
    zeros = np.zeros((1, height, 40, 64), np.float32)
    expected = run(case, "conv2d_f32", (weight, bias), x, zeros, ISAS[-1], 1)
    for threads in (2, 3, 5, 9):
        out = run(case, "conv2d_f32", (weight, bias), x, zeros, ISAS[-1], threads)
        np.testing.assert_array_equal(out, expected)


def check_i8(case: Case, isa: str, threads: int = 1, per_channel: bool = True, x_scale: float | None = None) -> None:
    """Fail unless the int8 convolution equals the oracle bit for bit."""
    x, weight, bias = case.arrays()
    values, scale = quantized.quantize_weights(weight, 8, per_channel)
    fixed = None if x_scale is None else np.array([x_scale], np.float32)
    scales = np.broadcast_to(scale, len(values))
    y = quantized.quantized_conv2d_int32(
        x.transpose(0, 3, 1, 2), values, scales, bias, case.stride, case.padding, fixed
    ).transpose(0, 2, 3, 1)
    addend = addend_of(case, x, y.shape)
    expected = case.finished(y.transpose(0, 3, 1, 2), addend)
    out = run(case, "conv2d_i8", (values, scale, bias, fixed), x, addend, isa, threads)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_int8_equals_the_oracle(case: Case, threads: int, isa: str) -> None:
    """Bit for bit with one scale a sample and an output channel, whatever the shape and the number of threads."""
    check_i8(case, isa, threads)


@pytest.mark.parametrize("isa", ISAS)
def test_one_weight_scale_is_for_all_outputs(isa: str) -> None:
    """A scale per tensor."""
    check_i8(Case(), isa, per_channel=False)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("x_scale", [0.011, 0.001, 1e-30, 1e30])
def test_a_calibrated_scale_saturates(x_scale: float, isa: str) -> None:
    """What is beyond ±127 scales becomes ±127, however far it is."""
    check_i8(Case(), isa, x_scale=x_scale)


@pytest.mark.parametrize("isa", ISAS)
def test_the_largest_sums_are_exact(isa: str) -> None:
    """Products of ±127 everywhere: the bytes of no instruction saturate in between."""
    case = Case((1, 4, 4, 300), 16, padding=(0, 0))
    x, weight, _ = case.arrays()
    values = np.where(weight > 0, np.int8(127), np.int8(-127))
    for sign in (np.sign(x).astype(np.float32), np.ones_like(x)):
        expected = quantized.quantized_conv2d_int32(
            sign.transpose(0, 3, 1, 2), values, np.ones(16, np.float32), None, (1, 1), (0, 0)
        ).transpose(0, 2, 3, 1)
        arrays = (values, np.ones(1, np.float32), None, None)
        out = run(case, "conv2d_i8", arrays, sign, np.zeros((1, 2, 2, 16), np.float32), isa, 1)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("isa", ISAS)
def test_an_image_of_zeros_gives_the_bias(isa: str) -> None:
    """Its scale is not zero."""
    case = Case(act=0)
    x, weight, bias = case.arrays()
    values, scale = quantized.quantize_weights(weight, 8, True)
    out = run(case, "conv2d_i8", (values, scale, bias, None), 0 * x, np.zeros((2, 6, 7, 18), np.float32), isa, 1)
    np.testing.assert_array_equal(out, np.zeros_like(out) + bias)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("act", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_sample_alone(bad: float, act: int, isa: str) -> None:
    """With dynamic scales all outputs of the sample become NaN, also behind a ReLU, and no others."""
    case = Case(act=act)
    x, weight, bias = case.arrays()
    values, scale = quantized.quantize_weights(weight, 8, True)
    clean = run(case, "conv2d_i8", (values, scale, bias, None), x, np.zeros((2, 6, 7, 18), np.float32), isa, 1)
    x[0, 3, 3, 2] = bad
    out = run(case, "conv2d_i8", (values, scale, bias, None), x, clean, isa, 1)
    assert np.isnan(out[0]).all()
    np.testing.assert_array_equal(out[1], clean[1])


@pytest.mark.parametrize("isa", ISAS)
def test_a_nan_spoils_the_windows_that_see_it(isa: str) -> None:
    """With a calibrated scale, as in float32: all outputs of those pixels, and no others."""
    case = Case(stride=(2, 1), act=1)
    x, weight, bias = case.arrays()
    x[1, 2, 6, 4] = np.nan
    values, scale = quantized.quantize_weights(weight, 8, True)
    expected = reference.conv2d(x.transpose(0, 3, 1, 2), weight, bias, case.stride, case.padding).transpose(0, 2, 3, 1)
    arrays = (values, scale, bias, np.array([0.02], np.float32))
    out = run(case, "conv2d_i8", arrays, x, expected, isa, 1)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))


@pytest.mark.parametrize("isa", ISAS)
def test_weights_of_minus_128_are_harmless(isa: str) -> None:
    """No quantizer makes them, but a file may hold them: the result is that of the oracle still."""
    case = Case((1, 5, 5, 8), 16)
    x, weight, bias = case.arrays()
    values = np.full(weight.shape, -128, np.int8)
    ones = np.ones(16, np.float32)
    expected = quantized.quantized_conv2d_int32(x.transpose(0, 3, 1, 2), values, ones, bias, (1, 1), (1, 1))
    out = run(case, "conv2d_i8", (values, ones, bias, None), x, np.zeros((1, 5, 5, 16), np.float32), isa, 1)
    np.testing.assert_array_equal(out, expected.transpose(0, 2, 3, 1))


FLOATS = np.zeros(10_000, np.float32)
WRONG = {
    "too few weights": (Case(), {"arrays": (FLOATS[:9], None)}),
    "too short a bias": (Case(), {"arrays": (FLOATS[: 18 * 45], FLOATS[:17])}),
    "no weights": (Case(), {"arrays": (None, None)}),
    "an array too many": (Case(), {"arrays": (FLOATS[: 18 * 45], None, None)}),
    "a kernel larger than the image": (Case(kernel=(9, 3), padding=(0, 0)), {}),
    "no stride": (Case(stride=(0, 1)), {}),
    "negative padding": (Case(padding=(-1, 1)), {}),
    "an image that overflows": (Case((1, 2**31 - 1, 2**31 - 1, 2**31 - 1), 18), {}),
    "padding that overflows": (Case(padding=(2**31 - 1, 2**31 - 1)), {}),
    "no outputs": (Case(outputs=0), {}),
    "another activation": (Case(act=2), {}),
    "no slot for the addend": (Case(has_addend=True), {}),
    "in and out the same": (Case(), {"slots": (1, 1)}),
    "a smaller output": (replace(Case(), padding=(0, 1)), {}),
}


@pytest.mark.parametrize(("case", "change"), WRONG.values(), ids=WRONG)
def test_descriptions_that_do_not_fit_are_refused(case: Case, change: dict[str, tuple[Any, ...]]) -> None:
    """Nothing is run that could leave an array or a buffer."""
    arrays = change.get("arrays", (FLOATS[: 18 * 45], FLOATS[:18]))
    op = ("conv2d_f32", change.get("slots", (0, 1)), case.dims(), (), arrays)
    with pytest.raises(ValueError, match="conv2d_f32"):
        native.Program([op], (6 * 7 * 5 * 4, 6 * 7 * 18 * 4), 2, 1)


def test_int8_sums_that_may_overflow_are_refused() -> None:
    """As by the reference: from 133,145 products on."""
    values, dims = np.ones((1, 133_145, 1, 1), np.int8), (133_145, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1)
    with pytest.raises(ValueError, match="overflow"):
        native.Program([("conv2d_i8", (0, 1), dims, (), (values, FLOATS[:1], None, None))], (133_145 * 4, 4), 1, 1)
