"""The native product with weights of 4 bits: the NumPy oracle's bits where activations are rounded, else near it."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import native, quantized

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = pytest.mark.parametrize("isa", native.isas())
# inputs, outputs, group: whole blocks of 8 inputs, groups that end amid a block, a short last group, one group
SHAPES = [(128, 48, 32), (200, 17, 7), (131, 65, 64), (1, 1, 1), (97, 30, 97), (40, 96, 33)]
FLOAT, INT8 = 0, 1


def drawn(rows: int, inputs: int, outputs: int, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, integer weights (-8, which quantizing never makes, among them), their scales and a bias."""
    rng = np.random.default_rng([rows, inputs, outputs, group])
    weight = rng.integers(-8, 8, (outputs, inputs)).astype(np.int8)
    scale = rng.uniform(0.01, 0.1, (outputs, -(-inputs // group))).astype(np.float32)
    return (
        rng.standard_normal((rows, inputs)).astype(np.float32),
        weight,
        scale,
        rng.standard_normal(outputs).astype(np.float32),
    )


def product(
    arrays: tuple[np.ndarray, ...], group: int, activations: int, isa: str, act: int = 0, threads: int = 1
) -> np.ndarray:
    x, weight, scale, bias = arrays
    out = np.full((len(x), len(weight)), 7, np.float32)
    dims = (1, x.shape[1], len(weight), act, group, activations)
    op = ("linear_i4", (0, 1), dims, (), (quantized.pack_int4(weight), scale, bias))
    native.Program([op], (4 * x.shape[1], 4 * len(weight)), len(x), threads, isa).run(x, out)
    return out


@ISAS
@pytest.mark.parametrize("rows", [1, 2, 7, 97])
@pytest.mark.parametrize(("inputs", "outputs", "group"), SHAPES)
def test_a_product_of_integers_equals_the_oracle(rows: int, inputs: int, outputs: int, group: int, isa: str) -> None:
    """Every bit is that of quantized_linear_int32, whatever the group size."""
    x, weight, scale, bias = arrays = drawn(rows, inputs, outputs, group)
    expected = quantized.quantized_linear_int32(x, weight, scale, bias, None, group)
    assert np.array_equal(product(arrays, group, INT8, isa), expected)


@ISAS
@pytest.mark.parametrize("rows", [1, 2, 7, 97])
@pytest.mark.parametrize(("inputs", "outputs", "group"), SHAPES)
def test_float_activations_meet_dequantized_weights(rows: int, inputs: int, outputs: int, group: int, isa: str) -> None:
    """Weight-only products agree with those of float64 to float32's rounding."""
    x, weight, scale, bias = arrays = drawn(rows, inputs, outputs, group)
    real = weight * quantized.by_weight(scale, weight.shape, group).astype(np.float64)
    size = np.abs(x) @ np.abs(real).T + np.abs(bias)
    assert np.all(np.abs(product(arrays, group, FLOAT, isa) - (x @ real.T + bias)) <= 1e-6 * size)


@ISAS
@pytest.mark.parametrize("activations", [FLOAT, INT8])
def test_one_group_of_all_inputs_is_a_scale_per_output(activations: int, isa: str) -> None:
    """A group beyond the last input ends with it."""
    arrays = drawn(3, 45, 20, 45)
    assert np.array_equal(product(arrays, 45, activations, isa), product(arrays, 64, activations, isa))


@ISAS
def test_a_row_that_is_not_finite_is_nan_and_no_other(isa: str) -> None:
    """A NaN or an infinity has no integer: its row's outputs are NaN, through a ReLU as well."""
    arrays = drawn(4, 64, 20, 32)
    arrays[0][1, 5], arrays[0][3, 60] = np.nan, -np.inf
    is_nan = np.isnan(product(arrays, 32, INT8, isa, act=1))
    assert is_nan[[1, 3]].all()
    assert not is_nan[[0, 2]].any()


@ISAS
@pytest.mark.parametrize("activations", [FLOAT, INT8])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1536, 1400), (100, 512, 480)])
def test_the_number_of_threads_does_not_change_an_int4_product(
    rows: int, inputs: int, outputs: int, activations: int, isa: str
) -> None:
    """Large enough to be divided among threads, it is the same bit for bit."""
    arrays = drawn(rows, inputs, outputs, 64)
    one, three = (product(arrays, 64, activations, isa, threads=threads) for threads in (1, 3))
    assert np.array_equal(one, three)


@ISAS
@pytest.mark.parametrize("activations", [FLOAT, INT8])
def test_the_last_samples_may_be_few(activations: int, isa: str) -> None:
    """A batch large enough to multiply weights out, then one that is not: both fit the memory that was planned."""
    x, weight, scale, bias = drawn(19, 97, 40, 32)
    out, alone = np.empty((19, 40), np.float32), np.empty((3, 40), np.float32)
    op = ("linear_i4", (0, 1), (1, 97, 40, 0, 32, activations), (), (quantized.pack_int4(weight), scale, bias))
    native.Program([op], (4 * 97, 160), 16, 2, isa).run(x, out)
    native.Program([op], (4 * 97, 160), 3, 1, isa).run(x[16:], alone)
    assert np.array_equal(out[16:], alone)


@ISAS
def test_the_largest_sums_do_not_overflow(isa: str) -> None:
    """All weights and activations at their limits: 16 bits hold what they are summed in."""
    inputs = 20_000  # in plain C more than one float32 sum holds exactly
    x = np.full((2, inputs), -3, np.float32)
    weight, scale = np.full((3, inputs), -8, np.int8), np.ones((3, 1), np.float32)
    weight[1], weight[2, 1::2] = 7, 7
    bias = np.zeros(3, np.float32)
    expected = quantized.quantized_linear_int32(x, weight, scale, bias, None, inputs)
    assert np.array_equal(product((x, weight, scale, bias), inputs, INT8, isa), expected)
