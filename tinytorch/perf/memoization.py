"""The course's memoization module: the key-value cache, and switching it on for a model."""

from __future__ import annotations

from tinytorch.core.attention import CachedAttention
from tinytorch.core.kv_cache import KVCache
from tinytorch.core.transformers import GPT

__all__ = ["CachedAttention", "KVCache", "disable_kv_cache", "enable_kv_cache"]


def enable_kv_cache(model: GPT, batch_size: int = 1, *, dtype: str = "float32") -> KVCache:
    """Give the model a cache for its max_seq_len positions that `forward` fills and continues, and return it.

    `generate` needs none of this: it has a cache of its own unless this one is there for as many texts. Gradients flow
    as before through a text that begins at position 0. Raises TypeError for what is no GPT.
    """
    _check(model)
    model._kv_cache = model.new_cache(batch_size, dtype=dtype)
    model._cache_enabled = True
    return model._kv_cache


def disable_kv_cache(model: GPT) -> None:
    """Take the cache away: every forward pass computes all it is given."""
    _check(model)
    model._kv_cache, model._cache_enabled = None, False


def _check(model: object) -> None:
    if not isinstance(model, GPT):
        raise TypeError(
            f"A {type(model).__name__} has no attention to cache: enable_kv_cache and disable_kv_cache take a GPT. For "
            "layers of your own use CachedAttention(attention, cache, layer_idx)."
        )
