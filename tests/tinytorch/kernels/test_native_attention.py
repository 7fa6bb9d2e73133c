"""The native decoding step of attention against NumPy, on each instruction set that this processor has."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import native
from tinytorch.kernels.transformer import TOLERANCE, attention_decode

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

ISAS = native.isas()


class Decoder:
    """A decoding step whose query, key and value are the input times three random vectors."""

    def __init__(self, isa: str, shape: tuple[int, int, int, int], threads: int = 1) -> None:
        batch, heads, d, capacity = shape
        rng = np.random.default_rng(sum(shape))
        self.shape, self.position = (heads, d), np.zeros(1, np.int64)
        self.caches = tuple(np.full((2, batch, heads, capacity, d), np.nan, np.float32))
        self.factors = rng.standard_normal((3, heads, d)).astype(np.float32)
        width, zeros = heads * d, np.zeros(heads * d, np.float32)
        ops = [("affine", (0, i + 2), (1, width, 0), (), (f.ravel(), zeros)) for i, f in enumerate(self.factors)]
        ops.append(("attention_decode", (2, 3, 4, 1), (heads, d, capacity), (), (*self.caches, self.position)))
        self.program = native.Program(ops, (width * 4,) * 5, batch, threads, isa)

    def step(self, x: np.ndarray, position: int) -> np.ndarray:
        out = np.empty_like(x)
        self.position[0] = position
        self.program.run(x, out)
        return out


SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 64, 40), (3, 1, 17, 9), (1, 4, 16, 33)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_sequence_of_steps_agrees_with_numpy(isa: str, shape: tuple[int, int, int, int]) -> None:
    """From an empty cache to a full one: each step's output, and what is in the caches at the end."""
    decoder = Decoder(isa, shape)
    batch, heads, d, capacity = shape
    caches = tuple(cache.astype(np.float64) for cache in decoder.caches)
    for position, x in enumerate(np.random.default_rng(1).standard_normal((capacity, batch, heads * d), np.float32)):
        query, key, value = (x.reshape(batch, heads, d) * decoder.factors[:, None]).astype(np.float64)
        expected = attention_decode(query, key, value, caches, position).reshape(batch, -1)
        size = np.abs(caches[1][:, :, : position + 1]).max(axis=2).reshape(batch, -1)
        assert np.all(np.abs(decoder.step(x, position) - expected) <= TOLERANCE * size)
    for cache, exact in zip(decoder.caches, caches, strict=True):
        np.testing.assert_array_equal(cache, exact)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("position", [-1, 4, 2**62, -(2**63)])
def test_a_position_outside_of_the_cache_gives_nan_and_writes_nothing(isa: str, position: int) -> None:
    """The position is read in every run; one that the cache does not have leaves the cache alone."""
    decoder = Decoder(isa, (2, 3, 5, 4))
    x = np.ones((2, 15), np.float32)
    decoder.step(x, 1)
    before = [cache.copy() for cache in decoder.caches]
    assert np.isnan(decoder.step(x, position)).all()
    for cache, old in zip(decoder.caches, before, strict=True):
        np.testing.assert_array_equal(cache, old)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_sample_does_not_spoil_its_neighbour(isa: str, bad: float) -> None:
    """A NaN or an infinity in one sample's vector gives NaN in that sample only."""
    decoder, clean = Decoder(isa, (2, 2, 8, 4)), Decoder(isa, (2, 2, 8, 4))
    x = np.random.default_rng(2).standard_normal((2, 16), np.float32)
    spoilt = x.copy()
    spoilt[0, :] = bad
    for position in range(2):
        out, expected = decoder.step(spoilt, position), clean.step(x, position)
    assert np.isnan(out[0]).all()
    np.testing.assert_array_equal(out[1], expected[1])


@pytest.mark.parametrize("isa", ISAS)
def test_threads_change_nothing(isa: str) -> None:
    """Heads are divided among threads, so that two threads and one give the same bytes."""
    x = np.random.default_rng(3).standard_normal((30, 2, 48), np.float32)
    one, two = Decoder(isa, (2, 3, 16, 30), threads=1), Decoder(isa, (2, 3, 16, 30), threads=2)
    for position in range(30):
        np.testing.assert_array_equal(two.step(x[position], position), one.step(x[position], position))


def test_caches_that_do_not_fit_are_refused() -> None:
    """Too few samples for the batch, a cache of another size, a cache that cannot be written to."""
    good = np.zeros((2, 3, 7, 5), np.float32)
    frozen = good.copy()
    frozen.flags.writeable = False
    position = np.zeros(1, np.int64)
    bad = [
        (good[:1].copy(), good[:1].copy(), position),
        (good, good[:1].copy(), position),
        (good[:, :, 1:].copy(), good[:, :, 1:].copy(), position),
        (good, frozen, position),
        (good, good, position),
        (good, None, position),
        (good, good.copy(), np.zeros(2, np.int64)),
        (good, good.copy(), np.zeros(1, np.int32)),
    ]
    for arrays in bad:
        with pytest.raises(ValueError, match="attention_decode"):
            native.Program([("attention_decode", (2, 3, 4, 1), (3, 5, 7), (), arrays)], (60,) * 5, 2, 1)
    for dims in [(3, 5, 8), (3, 5, 0), (-3, -5, 7), (3, 5, 2**62), (2**31, 2**31, 2**31)]:
        with pytest.raises(ValueError, match="attention_decode"):
            native.Program(
                [("attention_decode", (2, 3, 4, 1), dims, (), (good, good.copy(), position))], (60,) * 5, 2, 1
            )
