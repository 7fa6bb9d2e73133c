"""The native block-sparse product: a dense one's result without its zeros, and no index that reaches outside."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import native

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = pytest.mark.parametrize("isa", native.isas())
BLOCK = 16


def drawn(inputs: int, outputs: int, density: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a weight (O, I) of blocks, and its values, columns and ends."""
    rng = np.random.default_rng([inputs, outputs])
    kept = rng.random((-(-outputs // BLOCK), inputs)) < density
    blocks = rng.standard_normal((*kept.shape, BLOCK)).astype(np.float32) * kept[..., None]
    weight = blocks.transpose(0, 2, 1).reshape(-1, inputs)
    weight[outputs:] = 0
    blocks = np.ascontiguousarray(weight.reshape(-1, BLOCK, inputs).transpose(0, 2, 1)[kept])
    columns, ends = np.nonzero(kept)[1].astype(np.int32), np.cumsum(kept.sum(axis=1)).astype(np.int32)
    return weight[:outputs], [blocks, columns, ends]


def product(
    x: np.ndarray, outputs: int, arrays: list[np.ndarray], isa: str = "portable", act: int = 0, threads: int = 1
) -> np.ndarray:
    out = np.full((len(x), outputs), np.nan, np.float32)
    op = ("linear_bs16", (0, 1), (1, x.shape[1], outputs, act, len(arrays[0])), (), (*arrays, None))
    native.Program([op], (4 * x.shape[1], 4 * outputs), len(x), threads, isa).run(x, out)
    return out


def inputs_of(rows: int, inputs: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, inputs)).astype(np.float32)


@ISAS
@pytest.mark.parametrize("rows", [1, 2, 5, 9, 16, 17, 49])
@pytest.mark.parametrize("density", [0, 0.1, 0.5, 1])
def test_a_product_equals_that_of_the_dense_weight(rows: int, density: float, isa: str) -> None:
    """Any share of blocks and any number of rows, the last block row not full."""
    weight, arrays = drawn(70, 40, density)
    x = inputs_of(rows, 70)
    expected = np.maximum(x @ weight.T, 0)
    np.testing.assert_allclose(product(x, 40, arrays, isa, act=1), expected, rtol=1e-4, atol=1e-4)


@ISAS
@pytest.mark.parametrize("rows", [1, 200])
def test_threads_and_chunks_of_rows_do_not_change_a_product(rows: int, isa: str) -> None:
    """Rows that do not stay in a cache together are computed in turn, on any number of threads."""
    weight, arrays = drawn(900, 300, 0.5)
    x = inputs_of(rows, 900)
    one = product(x, 300, arrays, isa)
    assert np.array_equal(one, product(x, 300, arrays, isa, threads=3))
    np.testing.assert_allclose(one, x @ weight.T, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("place", "index", "bad", "message"),
    [
        (1, 0, -1, "a block's column is not an input"),
        (1, -1, 70, "a block's column is not an input"),
        (2, 0, -1, "the ends of the block rows decrease"),
        (2, 0, 2**30, "the ends of the block rows decrease"),
        (2, -1, 2**30, "the last block row does not end with the last block"),
    ],
)
def test_an_index_that_reaches_outside_is_refused(place: int, index: int, bad: int, message: str) -> None:
    """Indices are read from a file: they are checked before anything is computed."""
    _, arrays = drawn(70, 40, 0.5)
    arrays[place][index] = bad
    with pytest.raises(ValueError, match=message):
        product(inputs_of(1, 70), 40, arrays)


def test_indices_that_change_later_change_nothing() -> None:
    """A program has its own copy of what was checked."""
    weight, arrays = drawn(70, 40, 0.5)
    x, out = inputs_of(1, 70), np.empty((1, 40), np.float32)
    op = ("linear_bs16", (0, 1), (1, 70, 40, 0, len(arrays[0])), (), (*arrays, None))
    program = native.Program([op], (280, 160), 1, 1, "portable")
    for array in arrays:
        array[:] = 2**30
    program.run(x, out)
    np.testing.assert_allclose(out, x @ weight.T, rtol=1e-4, atol=1e-4)
