"""The native float32 product at the borders of its tiles: rows, panels of 16 outputs, parts of many inputs."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import native

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = pytest.mark.parametrize("isa", native.isas())


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def product(x: np.ndarray, weight: np.ndarray, isa: str, act: int = 0, threads: int = 1) -> np.ndarray:
    count, inputs = x.shape
    out = np.full((count, len(weight)), np.nan, np.float32)
    op = ("linear_f32", (0, 1), (1, inputs, len(weight), act), (), (weight, None))
    native.Program([op], (4 * inputs, 4 * len(weight)), count, threads, isa).run(x, out)
    return out


@ISAS
@pytest.mark.parametrize("rows", [1, 5, 6, 7, 95, 96, 97, 193])
@pytest.mark.parametrize("outputs", [1, 16, 49, 65])
def test_rows_and_outputs_may_end_anywhere_in_a_tile(rows: int, outputs: int, isa: str) -> None:
    """Each remainder of rows and outputs gives NumPy's product."""
    x, weight = drawn(rows, 33), drawn(outputs, 33)
    np.testing.assert_allclose(product(x, weight, isa), x @ weight.T, rtol=1e-4, atol=1e-4)


@ISAS
@pytest.mark.parametrize("act", [0, 1])
def test_many_inputs_are_summed_in_parts(act: int, isa: str) -> None:
    """The sums of a part go on in the next; the activation waits for the last."""
    x, weight = drawn(7, 2500), drawn(50, 2500)
    expected = x.astype(np.float64) @ weight.T.astype(np.float64)
    found = product(x, weight, isa, act)
    np.testing.assert_allclose(found, np.maximum(expected, 0) if act else expected, rtol=1e-4, atol=1e-3)


@ISAS
@pytest.mark.parametrize("rows", [1, 100])
def test_the_number_of_threads_does_not_change_a_product(rows: int, isa: str) -> None:
    """Large enough to be divided among threads, it is the same bit for bit."""
    x, weight = drawn(rows, 600), drawn(500, 600)
    assert np.array_equal(product(x, weight, isa, threads=1), product(x, weight, isa, threads=3))


@ISAS
@pytest.mark.parametrize("rows", [1, 8])
def test_relu_keeps_a_nan(rows: int, isa: str) -> None:
    """A NaN among the inputs makes every output of its row NaN, as np.maximum does, and no other."""
    x, weight = drawn(rows, 40), drawn(20, 40)
    x[-1, 3] = np.nan
    is_nan = np.isnan(product(x, weight, isa, act=1))
    assert is_nan[-1].all()
    assert not is_nan[:-1].any()
