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
