"""The native decoding step of attention against NumPy, on each instruction set that this processor has."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import native
from tinytorch.kernels.transformer import TOLERANCE, attention_decode, attention_decode_i8

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
        ops.append(("attention_decode", (2, 3, 4, 1), (heads, d, capacity, 0, 0), (), (*self.caches, self.position)))
        self.program = native.Program(ops, (width * 4,) * 5, batch, threads, isa)

    def step(self, x: np.ndarray, position: int) -> np.ndarray:
        out = np.empty_like(x)
        self.position[0] = position
        self.program.run(x, out)
        return out


SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 64, 40), (3, 1, 17, 9), (1, 4, 16, 33), (1, 2, 112, 18), (2, 1, 32, 19)]


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
@pytest.mark.parametrize("shape", SHAPES)
def test_a_cache_of_bytes_holds_what_numpy_rounds(isa: str, shape: tuple[int, int, int, int]) -> None:
    """Each step's output is close, the integers and their scales are the same bits; a vector that is NaN stays one."""
    batch, heads, d, capacity = shape
    caches, scales = (
        np.zeros((2, batch, heads, capacity, d), np.int8),
        np.zeros((2, batch, heads, capacity), np.float32),
    )
    expected_caches, expected_scales = caches.copy(), scales.copy()
    position = np.zeros(1, np.int64)
    arrays = (*caches, position, *scales)
    width = heads * d
    op = ("attention_decode_i8", (0, 0, 0, 1), (heads, d, capacity, 1, 0), (), arrays)
    program = native.Program([op], (width * 12, width * 4), batch, 1, isa)
    out = np.empty((batch, width), np.float32)
    for t, x in enumerate(np.random.default_rng(1).standard_normal((capacity, batch, 3, heads, d), np.float32)):
        if t == capacity - 1:
            x[0, 1, 0, 0] = np.nan
        position[0] = t
        program.run(x, out)
        both = tuple(expected_caches), tuple(expected_scales)
        expected = attention_decode_i8(x[:, 0], x[:, 1], x[:, 2], *both, t).reshape(batch, -1)
        np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_array_equal(caches, expected_caches)
    np.testing.assert_array_equal(scales, expected_scales)
    assert np.isnan(out[0, :d]).all()


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


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
def test_positions_of_one_text_attend_to_those_before(isa: str, threads: int) -> None:
    """Samples that are the next positions of one text give what they give one after the other, and no more than fit."""
    heads, d, capacity = 3, 32, 40
    caches, position = np.zeros((2, 2, 1, heads, capacity, d), np.float32), np.zeros(1, np.int64)
    x = np.random.default_rng(4).standard_normal((30, 3 * heads * d), np.float32)
    at_once, single = (
        native.Program(
            [("attention_decode", (0, 0, 0, 1), (heads, d, capacity, 1, 1), (), (*cache, position))],
            (heads * d * 12, heads * d * 4),
            batch,
            threads,
            isa,
        )
        for cache, batch in zip(caches, (30, 1), strict=True)
    )
    out, expected = np.empty((2, 30, heads * d), np.float32)
    for t in range(30):
        position[0] = t + 10
        single.run(x[t : t + 1], expected[t : t + 1])
    position[0] = 10
    at_once.run(x, out)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(*caches)
    position[0] = 11
    at_once.run(x, out)
    assert np.isnan(out).all()
    np.testing.assert_array_equal(*caches)


def refused(kind: str, slots: tuple[int, ...], dims: tuple[int, ...], arrays: tuple[object, ...]) -> bool:
    """Say whether a program of two samples with slots of 60 bytes, the last of three times as many, is refused."""
    try:
        native.Program([(kind, slots, dims, (), arrays)], (60, 60, 60, 60, 60, 180), 2, 1)
    except ValueError as error:
        return kind in str(error)
    return False


def test_caches_that_do_not_fit_are_refused() -> None:
    """Too few samples for the batch, a cache of another size, a cache that cannot be written to."""
    good = np.zeros((2, 3, 7, 5), np.float32)
    more, position = good.copy(), np.zeros(1, np.int64)
    frozen = good.copy()
    frozen.flags.writeable = False
    slots, dims = (2, 3, 4, 1), (3, 5, 7, 0, 0)
    bad = [
        (good[:1].copy(), good[:1].copy(), position),
        (good, good[:1].copy(), position),
        (good[:, :, 1:].copy(), good[:, :, 1:].copy(), position),
        (good, frozen, position),
        (good, good, position),
        (good, None, position),
        (good, more, np.zeros(2, np.int64)),
        (good, more, np.zeros(1, np.int32)),
    ]
    assert not refused("attention_decode", slots, dims, (good, more, position))
    assert all(refused("attention_decode", slots, dims, arrays) for arrays in bad)
    for wrong in [
        (3, 5, 8, 0, 0),
        (3, 5, 0, 0, 0),
        (-3, -5, 7, 0, 0),
        (3, 5, 2**62, 0, 0),
        (2**31, 2**31, 2**31, 0, 0),
        (3, 5, 7, 2, 0),
        (3, 5, 7, 0, 2),
        (3, 5, 7, 0),
        (3, 5, 7),
    ]:
        assert refused("attention_decode", slots, wrong, (good, more, position))


def test_joined_slots_that_do_not_fit_are_refused() -> None:
    """Query, key and value lie in one slot of three times the size, or in three of one each."""
    arrays = np.zeros((2, 3, 7, 5), np.float32), np.zeros((2, 3, 7, 5), np.float32), np.zeros(1, np.int64)
    assert not refused("attention_decode", (5, 5, 5, 1), (3, 5, 7, 1, 0), arrays)
    for slots, is_joined in [
        ((5, 5, 5, 1), 0),
        ((2, 2, 2, 1), 1),
        ((5, 5, 4, 1), 1),
        ((5, 5, 5, 5), 1),
        ((2, 3, 4, 2), 0),
    ]:
        assert refused("attention_decode", slots, (3, 5, 7, is_joined, 0), arrays)


def test_scales_that_do_not_fit_are_refused() -> None:
    """A cache of bytes has a scale for each vector of its keys, and one for each of its values."""
    caches, scales, position = (
        np.zeros((2, 2, 3, 7, 5), np.int8),
        np.zeros((2, 2, 3, 7), np.float32),
        np.zeros(1, np.int64),
    )
    kind, slots, dims = "attention_decode_i8", (2, 3, 4, 1), (3, 5, 7, 0, 0)
    assert not refused(kind, slots, dims, (*caches, position, *scales))
    bad = [
        (*caches, position),
        (*caches, position, scales[0], scales[0]),
        (*caches, position, scales[0], scales[1, :1].copy()),
        (*caches, position, scales[0], None),
        (*np.zeros((2, 2, 3, 7, 5), np.float32), position, *scales),
        (caches[0], caches[1, :1].copy(), position, *scales),
    ]
    assert all(refused(kind, slots, dims, arrays) for arrays in bad)
