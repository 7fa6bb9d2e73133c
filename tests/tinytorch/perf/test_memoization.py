"""The course's module for the cache; what it does is tested with the transformer and the cache itself."""

import numpy as np

import tinytorch
from tinytorch.perf import memoization


def test_the_course_calls():
    """Enable, generate, look at the memory, disable; the text is the one without a cache."""
    np.random.seed(0)
    model = tinytorch.GPT(vocab_size=20, embed_dim=8, num_layers=2, num_heads=2, max_seq_len=12)
    prompt = tinytorch.Tensor([[1, 2, 3]])
    without = model.generate(prompt, max_new_tokens=5, temperature=0, cache=None)
    cache = tinytorch.enable_kv_cache(model)
    assert isinstance(cache, memoization.KVCache)
    assert (cache.num_layers, cache.num_heads, cache.max_seq_len, cache.head_dim) == (2, 2, 12, 4)
    np.testing.assert_array_equal(model.generate(prompt, max_new_tokens=5, temperature=0).data, without.data)
    assert cache.get_memory_usage()["cache_tensors"] == 4
    tinytorch.disable_kv_cache(model)
    assert model._kv_cache is None


def test_its_names():
    """All names of the course's module."""
    assert memoization.__all__ == ["CachedAttention", "KVCache", "disable_kv_cache", "enable_kv_cache"]
