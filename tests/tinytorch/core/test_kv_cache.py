"""The key-value cache by itself."""

import numpy as np
import pytest

from tinytorch.core.kv_cache import KVCache
from tinytorch.core.tensor import Tensor


def test_what_is_written_is_the_past_after_advance(rng):
    """update writes at seq_pos, get returns what lies before it, reset forgets."""
    cache = KVCache(batch_size=2, max_seq_len=4, num_layers=2, num_heads=3, head_dim=5)
    keys, values = rng.normal(size=(2, 2, 3, 1, 5)).astype(np.float32)
    for step in range(2):
        for layer in range(2):
            cache.update(layer, Tensor(keys + step), Tensor(values + layer))
        assert cache.get(0)[0].shape == (2, 3, step, 5)
        cache.advance()
    assert cache.seq_pos == 2
    found = cache.get(1)
    np.testing.assert_array_equal(found[0].data, np.concatenate([keys, keys + 1], axis=2))
    np.testing.assert_array_equal(found[1].data, np.concatenate([values + 1, values + 1], axis=2))
    cache.reset()
    assert cache.get(1)[0].shape == (2, 3, 0, 5)


def test_integers_are_close_and_small(rng):
    """Each vector is off by at most half of 1/127 of its largest value; a vector takes d + 4 bytes instead of 4·d."""
    floats, integers = (KVCache(1, 8, 2, 2, 16, dtype=dtype) for dtype in ("float32", "int8"))
    keys = rng.normal(size=(1, 2, 8, 16)).astype(np.float32)
    keys[0, 0, 0] = 0
    found, _ = integers.extend(0, keys, keys)
    limit = np.abs(keys).max(axis=-1, keepdims=True) / 127 * 0.501
    assert (np.abs(found - keys) <= limit).all()
    mb = [cache.get_memory_usage()["total_mb"] * 1024**2 for cache in (floats, integers)]
    assert mb == [2 * 2 * 2 * 8 * 64, 2 * 2 * 2 * 8 * 20]


def test_memory_is_counted():
    """The course's four figures."""
    usage = KVCache(1, 10, 3, 2, 4).get_memory_usage()
    assert (usage["cache_tensors"], usage["total_elements"]) == (6, 6 * 80)
    assert usage["total_mb"] == pytest.approx(6 * 80 * 4 / 1024**2)
    assert usage["per_layer_mb"] == pytest.approx(usage["total_mb"] / 3)


def test_what_does_not_fit_is_refused():
    """Another layer, another shape, beyond the end, sizes and types that are none."""
    cache = KVCache(1, 2, 1, 1, 4)
    one = np.zeros((1, 1, 1, 4))
    with pytest.raises(ValueError, match="layers 0 to 0, but was asked for 1"):
        cache.update(1, one, one)
    with pytest.raises(ValueError, match=r"takes keys and values of shape \(1, 1, T, 4\)"):
        cache.update(0, one[..., :3], one[..., :3])
    with pytest.raises(ValueError, match="cache is full"):
        cache.update(0, np.zeros((1, 1, 3, 4)), np.zeros((1, 1, 3, 4)))
    with pytest.raises(ValueError, match="cannot advance by 3"):
        cache.advance(3)
    with pytest.raises(ValueError, match="num_heads"):
        KVCache(1, 2, 1, 0, 4)
    with pytest.raises(ValueError, match="not 'int4'"):
        KVCache(1, 2, 1, 1, 4, dtype="int4")


def test_generation_begins_anew_and_ends():
    """The block empties the cache; after it, and after an error in it, layers no longer use it."""
    cache = KVCache(1, 2, 1, 1, 4)
    cache.advance(2)
    with cache.generation():
        assert (cache.seq_pos, cache.is_generating) == (0, True)
    assert not cache.is_generating
    with pytest.raises(KeyError), cache.generation():
        raise KeyError
    assert not cache.is_generating


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_text_is_copied_from_a_cache_of_its_own(rng, dtype):
    """It lies where `update` of that text would have put it; the other texts stay."""
    one = KVCache(1, 6, 2, 2, 8)
    three, expected = (KVCache(3, 6, 2, 2, 8, dtype=dtype) for _ in range(2))
    keys, values = rng.normal(size=(2, 1, 2, 4, 8)).astype(np.float32)
    for layer in range(2):
        one.update(layer, keys, values)
        texts = np.zeros((2, 3, 2, 4, 8), np.float32)
        texts[:, 1] = keys[0], values[0]
        expected.update(layer, *texts)
    one.advance(4)
    three.copy_text(1, one)
    assert three.seq_pos == 4
    for layer in range(2):
        for found, wanted in zip(three.arrays(layer), expected.arrays(layer), strict=True):
            np.testing.assert_array_equal(found[1], wanted[1])
            assert not found[[0, 2]].any()


def test_what_cannot_be_copied_is_an_error():
    """A text that is not there, another number of layers, several texts, and no room for its positions."""
    cache, long = KVCache(2, 3, 1, 1, 4), KVCache(1, 5, 1, 1, 4)
    long.advance(5)
    with pytest.raises(ValueError, match="Text 2 of 2"):
        cache.copy_text(2, KVCache(1, 3, 1, 1, 4))
    for other in (KVCache(2, 3, 1, 1, 4), KVCache(1, 3, 2, 1, 4)):
        with pytest.raises(ValueError, match="Text 0 of 2"):
            cache.copy_text(0, other)
    with pytest.raises(ValueError, match="beyond max_seq_len = 3"):
        cache.copy_text(0, long)
