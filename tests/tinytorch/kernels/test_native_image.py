"""Native pools and changes of layout against NumPy, on each instruction set that this processor has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tinytorch.kernels import native, reference

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = native.isas()
Pair = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """One pool of a random image x (N, H, W, C)."""

    image: tuple[int, int, int, int] = (2, 6, 8, 16)
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Pair = (0, 0)


CASES = {
    "halves": Case(),
    "odd sizes": Case((3, 7, 9, 5)),
    "overlapping": Case((1, 8, 8, 33), (3, 3), (2, 2), (1, 1)),
    "grey": Case((2, 8, 8, 1)),
    "rows only": Case(kernel=(3, 1), stride=(1, 1)),
    "columns only": Case(kernel=(1, 4), stride=(1, 3), padding=(0, 2)),
    "global": Case((2, 4, 5, 10), (4, 5), (1, 1)),
    "one": Case((1, 1, 1, 1), (1, 1), (1, 1)),
    "windows in the padding": Case((1, 3, 3, 4), (2, 2), (1, 1), (3, 3)),
    "enough for threads": Case((4, 32, 32, 32)),
}


def run(kind: str, dims: tuple[int, ...], x: np.ndarray, shape: tuple[int, ...], isa: str, threads: int) -> np.ndarray:
    """Run one operation whose output has `shape`."""
    out = np.full(shape, -77, np.float32)
    native.Program([(kind, (0, 1), dims, (), ())], (x[0].nbytes, out[0].nbytes), len(x), threads, isa).run(x, out)
    return out


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pool", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_pools_equal_numpys(case: Case, pool: str, threads: int, isa: str) -> None:
    """Bit for bit, and a NaN and an infinity come out where they do there."""
    x = np.random.default_rng(3).standard_normal(case.image, np.float32)
    x[0, 0, 0, 0], x[-1, -1, -1, -1] = np.nan, -np.inf
    forward = {"max_pool": reference.max_pool2d, "avg_pool": reference.avg_pool2d}[pool]
    expected = forward(x.transpose(0, 3, 1, 2), case.kernel, case.stride, case.padding).transpose(0, 2, 3, 1)
    _, height, width, channels = case.image
    dims = (channels, height, width, *case.kernel, *case.stride, *case.padding)
    np.testing.assert_array_equal(run(pool, dims, x, expected.shape, isa, threads), expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 32, 32), (1, 28, 28), (10, 3, 1), (17, 5, 7), (64, 40, 20)])
def test_a_change_of_layout_and_back(size: tuple[int, int, int], threads: int, isa: str) -> None:
    """Channels last is NumPy's transpose of channels first, and the way back ends where it began."""
    channels, height, width = size
    x = np.random.default_rng(4).standard_normal((3, *size), np.float32)
    last = run("nchw_to_nhwc", size, x, (3, height, width, channels), isa, threads)
    np.testing.assert_array_equal(last, x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(run("nhwc_to_nchw", size, last, x.shape, isa, threads), x)


WRONG = {
    "a window larger than the image": ((16, 6, 8, 7, 2, 2, 2, 0, 0), (0, 1)),
    "no stride": ((16, 6, 8, 2, 2, 0, 2, 0, 0), (0, 1)),
    "negative padding": ((16, 6, 8, 2, 2, 2, 2, -1, 0), (0, 1)),
    "too few dims": ((16, 6, 8, 2, 2, 2, 2), (0, 1)),
    "an image that overflows": ((2**31 - 1, 2**31 - 1, 2**31 - 1, 2, 2, 2, 2, 0, 0), (0, 1)),
    "a larger output": ((16, 6, 8, 2, 2, 1, 1, 0, 0), (0, 1)),
    "in and out the same": ((16, 6, 8, 1, 1, 1, 1, 0, 0), (1, 1)),
}


@pytest.mark.parametrize(("dims", "slots"), WRONG.values(), ids=WRONG)
def test_descriptions_that_do_not_fit_are_refused(dims: tuple[int, ...], slots: Pair) -> None:
    """Nothing is run that could leave a buffer."""
    with pytest.raises(ValueError, match="max_pool"):
        native.Program([("max_pool", slots, dims, (), ())], (6 * 8 * 16 * 4, 3 * 4 * 16 * 4), 2, 1)
