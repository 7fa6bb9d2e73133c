"""The native int8 products against the int32 oracle, bit for bit, on each instruction set that this processor has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tinytorch.kernels import native, quantized

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = native.isas()
RNG = np.random.default_rng(11)
SHAPES = ((1, 1), (1, 10), (3, 2), (4, 16), (5, 17), (63, 31), (64, 32), (65, 33), (128, 10), (130, 47), (784, 70))
FLOAT32, INT8 = 0, 1


@dataclass(frozen=True, eq=False)
class Product:
    """The weights of one linear_i8, and how its rows are quantized."""

    weights: np.ndarray
    w_scale: np.ndarray
    bias: np.ndarray | None = None
    x_scale: np.ndarray | None = None
    relu: bool = False

    def run(self, isa: str, x: np.ndarray, rows: int = 1, threads: int = 1) -> np.ndarray:
        """Multiply x (N, I), `rows` of it a sample, in batches of at most 40 samples."""
        outputs, inputs = self.weights.shape
        dims = (rows, inputs, outputs, int(self.relu), FLOAT32, FLOAT32, len(self.w_scale))
        op = ("linear_i8", (0, 1), dims, (), (self.weights, self.w_scale, self.bias, self.x_scale, None))
        out = np.full((len(x), outputs), -77, np.float32)
        native.Program([op], (4 * rows * inputs, 4 * rows * outputs), 40, threads, isa).run(x, out)
        return out

    def oracle(self, x: np.ndarray) -> np.ndarray:
        """Do the same the slow way."""
        y = quantized.quantized_linear_int32(x, self.weights, self.w_scale, self.bias, self.x_scale)
        return np.maximum(y, np.float32(0)) if self.relu else y


def product(inputs: int, outputs: int, seed: int = 0) -> Product:
    """Make weights of ±127 with a scale an output and a bias."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    scales = (rng.random(outputs) + 0.01).astype(np.float32)
    return Product(weights, scales, rng.standard_normal(outputs).astype(np.float32))


def normal(count: int, inputs: int) -> np.ndarray:
    return RNG.standard_normal((count, inputs)).astype(np.float32)


def scale(value: float) -> np.ndarray:
    return np.array([value], np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("x_scale", [None, 0.02])
def test_products_equal_the_oracle(isa: str, shape: tuple[int, int], x_scale: float | None) -> None:
    """Odd sizes, one input and one output: bit for bit, with dynamic and static scales, one row and several."""
    made = product(*shape)
    if x_scale is not None:
        made = Product(made.weights, made.w_scale, made.bias, scale(x_scale), relu=True)
    for count in (1, 5):
        x = normal(count, shape[0])
        np.testing.assert_array_equal(made.run(isa, x), made.oracle(x))


@pytest.mark.parametrize("isa", ISAS)
def test_every_number_of_rows(isa: str) -> None:
    """However many rows are left over from the tiles, they are computed as the others, on one thread and on two."""
    made = product(37, 35)
    for count in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 23, 24, 25):
        x = normal(4 * count, 37)
        expected = made.oracle(x)
        for threads in (1, 2):
            np.testing.assert_array_equal(made.run(isa, x, rows=count, threads=threads), expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("count", [1, 30, 100])
def test_threads_change_nothing(isa: str, count: int) -> None:
    """Work that is large enough to be shared, of one row, of some and of blocks of rows, has the same result."""
    made = product(1100, 520)
    x = normal(count, 1100)
    expected = made.oracle(x)
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(made.run(isa, x, rows=count, threads=threads), expected)


@pytest.mark.parametrize("isa", ISAS)
def test_one_scale_for_all_weights_and_no_bias(isa: str) -> None:
    """A scale per tensor serves every output; without a bias nothing is added, so that a zero keeps its sign."""
    made = product(20, 18)
    made = Product(made.weights, made.w_scale[:1])
    x = np.concatenate([normal(3, 20), np.full((1, 20), -0.0, np.float32)])
    expected = made.oracle(x)
    out = made.run(isa, x)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(np.signbit(out), np.signbit(expected))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("x_scale", [1 / 16, 0.1, 3e-5, 1e30, 1.2e-38])
def test_halves_round_to_even(isa: str, x_scale: float) -> None:
    """Ratios at a half, and the floats next to it, round as a division does: a reciprocal is not good enough there."""
    halves = (np.arange(-129, 129) + np.float32(0.5)) * np.float32(x_scale)
    x = np.concatenate([halves, np.nextafter(halves, np.float32(np.inf)), np.nextafter(halves, -np.float32(np.inf))])
    made = Product(np.eye(50, dtype=np.int8), scale(1 / x_scale), None, scale(x_scale))
    rows = np.resize(x, (20, 50)).astype(np.float32)
    np.testing.assert_array_equal(made.run(isa, rows), made.oracle(rows))


@pytest.mark.parametrize("isa", ISAS)
def test_integers_saturate_by_a_static_scale(isa: str) -> None:
    """Beyond 127 scales, to infinity, an input counts as ±127."""
    made = Product(np.eye(9, dtype=np.int8), scale(1), None, scale(0.5))
    x = np.array([[63.5, 64, 1e30, np.inf, -63.5, -64, -1e30, -np.inf, 63]], np.float32)
    np.testing.assert_array_equal(made.run(isa, x), [[63.5, 63.5, 63.5, 63.5, -63.5, -63.5, -63.5, -63.5, 63]])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 15, 16, 36])
def test_a_row_that_is_not_finite_has_no_result(isa: str, bad: float, place: int) -> None:
    """A NaN or an infinity makes every output of its row NaN, ReLU or not; its neighbours do not notice."""
    made = product(37, 19)
    made = Product(made.weights, made.w_scale, made.bias, relu=True)
    x = normal(14, 37)
    expected = made.oracle(x)
    x[7, place] = bad
    expected[7] = np.nan
    np.testing.assert_array_equal(made.run(isa, x), expected)


@pytest.mark.parametrize("isa", ISAS)
def test_a_nan_under_a_static_scale_has_no_result(isa: str) -> None:
    """A NaN has no integer whatever the scale."""
    made = product(37, 19)
    made = Product(made.weights, made.w_scale, made.bias, scale(0.02))
    x = normal(3, 37)
    expected = made.oracle(x)
    x[1, 36] = np.nan
    expected[1] = np.nan
    np.testing.assert_array_equal(made.run(isa, x), expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", [0, 1e-45, 1e-39, 1.5e-36, 1e30, 3.4e38])
def test_rows_of_any_size(isa: str, size: float) -> None:
    """Zeros, subnormal numbers and those next to the largest float32 are quantized as the oracle does."""
    made = product(33, 12)
    x = (np.clip(normal(3, 33), -1, 1) * np.float32(size)).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(made.run(isa, x), made.oracle(x))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("x_scale", [-0.02, 1e-45, 1e-39, 1e38, np.inf])
def test_a_strange_static_scale_does_as_numpy_does(isa: str, x_scale: float) -> None:
    """A file may say a negative, a subnormal or an infinite scale: the arithmetic is the same."""
    made = product(33, 12)
    made = Product(made.weights, made.w_scale, made.bias, scale(x_scale))
    x = normal(3, 33)
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(made.run(isa, x), made.oracle(x))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("x_scale", [0, np.nan])
def test_a_static_scale_without_ratios_gives_nan(isa: str, x_scale: float) -> None:
    """A row of zeros over a scale of zero, and any row over NaN, have no integers."""
    made = product(33, 12)
    made = Product(made.weights, made.w_scale, made.bias, scale(x_scale))
    assert np.isnan(made.run(isa, np.zeros((2, 33), np.float32))).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("weight", [127, -127, -128])
def test_the_largest_sums_are_exact(isa: str, weight: int) -> None:
    """Sums above 2**24 round to float32 once, at the end; -128, which no quantizer makes, does not overflow either."""
    made = Product(np.full((3, 9001), weight, np.int8), scale(1), None, scale(1))
    x = np.full((2, 9001), 127, np.float32)
    x[1, ::2] = -127
    np.testing.assert_array_equal(made.run(isa, x), made.oracle(x))


@pytest.mark.parametrize("isa", ISAS)
def test_no_samples_are_no_work(isa: str) -> None:
    """An empty input gives an empty output."""
    assert product(5, 3).run(isa, np.empty((0, 5), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("hidden", [1, 16, 45])
@pytest.mark.parametrize("count", [1, 50])
def test_rounding_can_be_part_of_the_layer_before(isa: str, hidden: int, count: int) -> None:
    """Two static layers with int8 between them equal two with float32 between, and a NaN passes through as a NaN."""
    first, second = product(30, hidden, 1), product(hidden, 7, 2)
    scales, last = (scale(0.02), scale(20.0)), scale(100.0)

    def output(between: int, size: int) -> np.ndarray:
        ops = [
            ("linear_i8", (0, 2), (1, 30, hidden, 1, FLOAT32, between, hidden), (), layer(first, scales[0], scales[1])),
            ("linear_i8", (2, 1), (1, hidden, 7, 0, between, FLOAT32, 7), (), layer(second, scales[1], last)),
        ]
        out = np.empty((count, 7), np.float32)
        native.Program(ops, (120, 28, size * hidden), 20, 1, isa).run(x, out)
        return out

    x = normal(count, 30)
    x[-1, 3] = np.nan
    out = output(INT8, 1)
    np.testing.assert_array_equal(out, output(FLOAT32, 4))
    assert np.isnan(out[-1]).all()
    assert not np.isnan(out[:-1]).any()


def layer(made: Product, x_scale: np.ndarray, out_scale: np.ndarray) -> tuple[np.ndarray | None, ...]:
    return made.weights, made.w_scale, made.bias, x_scale, out_scale


DIMS = (1, 6, 5, 0, FLOAT32, FLOAT32, 5)
ARRAYS = (np.ones((5, 6), np.int8), np.ones(5, np.float32), np.ones(5, np.float32), None, None)


def replaced(values: tuple[Any, ...], **changes: Any) -> tuple[Any, ...]:
    return tuple(changes.get(f"_{place}", value) for place, value in enumerate(values))


@pytest.mark.parametrize(
    ("dims", "arrays", "slots"),
    [
        (DIMS[:-1], ARRAYS, (24, 20)),
        (DIMS, ARRAYS[:-1], (24, 20)),
        (DIMS, ARRAYS, (28, 20)),
        (DIMS, ARRAYS, (24, 24)),
        (replaced(DIMS, _1=-6), ARRAYS, (24, 20)),
        (replaced(DIMS, _1=0), ARRAYS, (24, 20)),
        (replaced(DIMS, _1=200_000), ARRAYS, (800_000, 20)),
        (replaced(DIMS, _0=2**31, _1=2**16, _2=2**31), ARRAYS, (24, 20)),
        (replaced(DIMS, _3=2), ARRAYS, (24, 20)),
        (replaced(DIMS, _4=2), ARRAYS, (24, 20)),
        (replaced(DIMS, _4=INT8), ARRAYS, (6, 20)),
        (replaced(DIMS, _5=INT8), ARRAYS, (24, 5)),
        (replaced(DIMS, _6=2), ARRAYS, (24, 20)),
        (DIMS, replaced(ARRAYS, _0=None), (24, 20)),
        (DIMS, replaced(ARRAYS, _0=np.ones((5, 5), np.int8)), (24, 20)),
        (DIMS, replaced(ARRAYS, _1=np.ones(4, np.float32)), (24, 20)),
        (DIMS, replaced(ARRAYS, _2=np.ones(6, np.float32)), (24, 20)),
        (DIMS, replaced(ARRAYS, _3=np.ones(2, np.float32)), (24, 20)),
    ],
)
def test_what_does_not_fit_together_is_refused(
    dims: tuple[int, ...], arrays: tuple[Any, ...], slots: tuple[int, int]
) -> None:
    """Sizes other than those of the dimensions, unknown types, and sums that could overflow are errors at the start."""
    with pytest.raises(ValueError, match="linear_i8"):
        native.Program([("linear_i8", (0, 1), dims, (), arrays)], slots, 1, 1)
