"""The native products of float32 rows with int8 weights against float64, on each instruction set of this processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinytorch.kernels import native

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = native.isas()
RNG = np.random.default_rng(12)
SHAPES = ((1, 1), (3, 2), (5, 17), (64, 32), (65, 33), (130, 47), (784, 10))
ROUNDING = 2.0**-23  # of float32; the error of a sum is less than the number of its terms times that


def run(
    isa: str, x: np.ndarray, weights: np.ndarray, scale: np.ndarray, bias: np.ndarray | None, **how: int
) -> np.ndarray:
    """Multiply x (N, I) in one batch; `how` may say `threads` and `act`."""
    outputs, inputs = weights.shape
    op = ("linear_w8", (0, 1), (1, inputs, outputs, how.get("act", 0), len(scale)), (), (weights, scale, bias))
    out = np.full((len(x), outputs), -77, np.float32)
    native.Program([op], (4 * inputs, 4 * outputs), max(1, len(x)), how.get("threads", 1), isa).run(x, out)
    return out


def operands(count: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make x, weights with all int8 values, scales and bias."""
    weights = RNG.integers(-128, 128, (outputs, inputs)).astype(np.int8)
    scale = (RNG.random(outputs) + 0.01).astype(np.float32)
    x, bias = RNG.standard_normal((count, inputs)), RNG.standard_normal(outputs)
    return x.astype(np.float32), weights, scale, bias.astype(np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5, 19])
def test_products_are_those_of_the_scaled_weights(isa: str, shape: tuple[int, int], count: int) -> None:
    """x times weights times their scales, plus bias, as exact as a sum of float32 is."""
    x, weights, scale, bias = operands(count, *shape)
    real = weights * scale[:, None].astype(np.float64)
    expected = x.astype(np.float64) @ real.T + bias
    allowed = (shape[0] + 3) * ROUNDING * (np.abs(x) @ np.abs(real).T + np.abs(bias))
    assert np.all(np.abs(run(isa, x, weights, scale, bias) - expected) <= allowed)


@pytest.mark.parametrize("isa", ISAS)
def test_one_scale_no_bias_and_relu(isa: str) -> None:
    """A scale per tensor serves every output, None is no bias, and ReLU keeps a NaN."""
    x, weights, scale, _ = operands(6, 21, 18)
    x[2, 20] = np.nan
    plain = run(isa, x, weights, np.repeat(scale[:1], 18), None)
    np.testing.assert_array_equal(run(isa, x, weights, scale[:1], None, act=1), np.maximum(plain, 0))
    assert np.isnan(plain[2]).all()
    assert not np.isnan(np.delete(plain, 2, axis=0)).any()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("count", [1, 200])
def test_threads_change_nothing(isa: str, count: int) -> None:
    """The outputs are split between threads, never a sum."""
    operand = operands(count, 600, 520)
    expected = run(isa, *operand)
    for threads in (2, 3):
        np.testing.assert_array_equal(run(isa, *operand, threads=threads), expected)


DIMS = (1, 6, 5, 0, 5)
ARRAYS = (np.ones((5, 6), np.int8), np.ones(5, np.float32), None)


@pytest.mark.parametrize(
    ("dims", "arrays", "slots"),
    [
        (DIMS[:-1], ARRAYS, (24, 20)),
        (DIMS, ARRAYS[:-1], (24, 20)),
        (DIMS, ARRAYS, (24, 24)),
        (DIMS, ARRAYS, (20, 20)),
        ((1, 0, 5, 0, 5), ARRAYS, (24, 20)),
        ((1, 6, 5, 2, 5), ARRAYS, (24, 20)),
        ((1, 6, 5, 0, 4), ARRAYS, (24, 20)),
        ((2**31 - 1, 2**31 - 1, 2**31 - 1, 0, 1), ARRAYS, (24, 20)),
        (DIMS, (ARRAYS[0], None, None), (24, 20)),
        (DIMS, (ARRAYS[0][:4], *ARRAYS[1:]), (24, 20)),
        (DIMS, (*ARRAYS[:2], np.ones(6, np.float32)), (24, 20)),
    ],
)
def test_what_does_not_fit_together_is_refused(
    dims: tuple[int, ...], arrays: tuple[Any, ...], slots: tuple[int, int]
) -> None:
    """Sizes that are not those of the dimensions are errors at the start."""
    with pytest.raises(ValueError, match="linear_w8"):
        native.Program([("linear_w8", (0, 1), dims, (), arrays)], slots, 1, 1)
