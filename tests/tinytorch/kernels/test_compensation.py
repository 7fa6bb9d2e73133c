"""Rounding that cancels its errors: better than to the nearest on what was seen, and as well-behaved on everything."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels.compensation import compensated_weights
from tinytorch.kernels.quantized import QMAX, by_weight, quantize_groups, quantize_weights

RNG = np.random.default_rng(11)


def correlated(samples: int, inputs: int) -> np.ndarray:
    """Inputs of which each depends on others, as those of a real layer do."""
    return np.maximum(RNG.standard_normal((samples, inputs // 4)) @ RNG.standard_normal((inputs // 4, inputs)), 0)


def errors(weights: np.ndarray, x: np.ndarray, group: int | None) -> tuple[float, float]:
    """The squared error of x · W^T after rounding to the nearest and after compensation."""
    nearest = quantize_weights(weights, 4, True) if group is None else quantize_groups(weights, 4, group)
    found = compensated_weights(weights, x.T @ x, 4, True, group)
    sums = []
    for values, scale in (nearest, found):
        rounded = values * by_weight(scale, weights.shape, group)
        sums.append(float(np.square(x @ (rounded - weights).T).sum()))
    return sums[0], sums[1]


@pytest.mark.parametrize("group", [None, 32])
@pytest.mark.parametrize("inputs", [40, 160])
def test_outputs_are_nearer_than_after_rounding_to_the_nearest(group: int | None, inputs: int) -> None:
    """On correlated inputs the squared error falls to less than half, in one block of columns and across several."""
    nearest, compensated = errors(RNG.standard_normal((24, inputs)).astype(np.float32), correlated(400, inputs), group)
    assert compensated < nearest / 2


def test_independent_inputs_leave_nothing_to_compensate() -> None:
    """With a diagonal Gram matrix every weight is rounded to the nearest."""
    weights = RNG.standard_normal((6, 20)).astype(np.float32)
    values, scale = compensated_weights(weights, np.diag(RNG.uniform(1, 2, 20)), 8, True, None)
    expected, expected_scale = quantize_weights(weights, 8, True)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(scale, expected_scale)


def test_three_equal_inputs_by_hand() -> None:
    """The last weight takes over what rounding the one before it has lost: 7 + 1.4 + 1.4 becomes 7 + 1 + 2."""
    weights = np.array([[7.0, 1.4, 1.4]], np.float32)  # scale 1
    values, _ = compensated_weights(weights, np.ones((3, 3)) * 1e6, 4, True, None)
    assert values.tolist() == [[7, 1, 2]]


@pytest.mark.parametrize("bits", [8, 4])
def test_values_stay_in_range(bits: int) -> None:
    """What is made up for never leaves the range of the integers; scales are one for each output."""
    values, scale = compensated_weights(
        RNG.standard_normal((9, 5, 3, 3)).astype(np.float32), (x := correlated(50, 45)).T @ x, bits, True, None
    )
    assert (values.shape, values.dtype, scale.shape) == ((9, 5, 3, 3), np.int8, (9,))
    assert np.abs(values).max() <= QMAX[bits]


def test_pruned_weights_stay_zero() -> None:
    """What is not kept is zero, and the rest makes up for it."""
    weights, x = RNG.standard_normal((8, 32)).astype(np.float32), correlated(200, 32)
    kept = RNG.random((8, 32)) < 0.5
    weights *= kept
    values, scale = compensated_weights(weights, x.T @ x, 4, True, None, kept)
    assert not values[~kept].any()
    nearest, each = quantize_weights(weights, 4, True)
    error, before = (np.square(x @ (v * s[:, None] - weights).T).sum() for v, s in ((values, scale), (nearest, each)))
    assert error < before


def test_inputs_that_were_never_seen_are_rounded_to_the_nearest() -> None:
    """Without a single input, or with some that were always zero, nothing is divided by zero."""
    weights = RNG.standard_normal((4, 12)).astype(np.float32)
    np.testing.assert_array_equal(
        compensated_weights(weights, np.zeros((12, 12)), 8, True, None)[0], quantize_weights(weights, 8, True)[0]
    )
    x = correlated(100, 12)
    x[:, ::2] = 0
    assert np.isfinite(compensated_weights(weights, x.T @ x, 4, True, None)[1]).all()


def test_inputs_that_are_not_finite_are_refused() -> None:
    """Sums of squares that overflow say nothing."""
    with pytest.raises(ValueError, match="not finite"):
        compensated_weights(np.ones((2, 3), np.float32), np.full((3, 3), np.inf), 4, True, None)
