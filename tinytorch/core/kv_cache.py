"""The key-value cache: what attention computed for earlier positions, kept so that it is not computed again.

It holds arrays and a position; it knows no model. Keys and values are float32, or int8 with a scale for each vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytorch.core.function import Array
from tinytorch.core.tensor import MB_TO_BYTES, Tensor
from tinytorch.kernels.transformer import round_vectors

__all__ = ["CACHE_DTYPES", "KVCache"]

CACHE_DTYPES = ("float32", "int8")

_ALL = slice(None)


class KVCache:
    """Keys and values of `num_layers` layers, each (batch_size, num_heads, max_seq_len, head_dim), and `seq_pos`.

    `seq_pos` counts the positions that all layers have. For each new one every layer calls `update` (or `extend`), then
    `advance` makes it part of the past. `dtype` "int8" takes a quarter of the bytes (and 4 for each vector) and rounds
    keys and values to 1/127 of the largest of their vector. Raises ValueError for sizes below 1 or another dtype.
    """

    def __init__(
        self,
        batch_size: int,
        max_seq_len: int,
        num_layers: int,
        num_heads: int,
        head_dim: int,
        *,
        dtype: str = "float32",
    ) -> None:
        sizes = {
            "batch_size": batch_size,
            "max_seq_len": max_seq_len,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "head_dim": head_dim,
        }
        if wrong := {name: size for name, size in sizes.items() if size < 1}:
            raise ValueError(f"A KVCache needs sizes of at least 1, but got {wrong}.")
        if dtype not in CACHE_DTYPES:
            raise ValueError(f"A KVCache holds {' or '.join(CACHE_DTYPES)}, not {dtype!r}.")
        self.batch_size, self.max_seq_len, self.num_layers = int(batch_size), int(max_seq_len), int(num_layers)
        self.num_heads, self.head_dim, self.dtype = int(num_heads), int(head_dim), dtype
        shape = (self.batch_size, self.num_heads, self.max_seq_len, self.head_dim)
        self._stores = [(_STORES[dtype](shape), _STORES[dtype](shape)) for _ in range(self.num_layers)]
        self.seq_pos = 0
        self.is_generating = False

    def update(self, layer_idx: int, key: Tensor | Array, value: Tensor | Array) -> None:
        """Write keys and values (batch_size, num_heads, T, head_dim), usually T = 1, from position `seq_pos` on.

        Raises ValueError for a layer that is not there, another shape, and positions from max_seq_len on.
        """
        keys, values = (np.asarray(x.data if isinstance(x, Tensor) else x) for x in (key, value))
        self._check(layer_idx, keys, values)
        for store, new in zip(self._stores[layer_idx], (keys, values), strict=True):
            store.write(self.seq_pos, new)

    def extend(self, layer_idx: int, key: Tensor | Array, value: Tensor | Array) -> tuple[Array, Array]:
        """Do what `update` does; return all keys and values so far, those just written included."""
        self.update(layer_idx, key, value)
        stop = self.seq_pos + key.shape[2]
        keys, values = self._stores[layer_idx]
        return keys.read(stop), values.read(stop)

    def copy_text(self, number: int, other: KVCache) -> None:
        """Write what another cache holds of its only text as text `number`, and count its positions as past.

        Raises ValueError for a text that is not there, other sizes, and positions that do not fit.
        """
        if other.batch_size != 1 or not 0 <= number < self.batch_size or other.num_layers != self.num_layers:
            sizes = f"{other.batch_size} texts and {other.num_layers} layers"
            raise ValueError(f"Text {number} of {self.batch_size} cannot be the one of a cache of {sizes}.")
        self.seq_pos = 0
        self.require_room(other.seq_pos)
        for own, others in zip(self._stores, other._stores, strict=True):
            for store, new in zip(own, others, strict=True):
                store.write(0, new.read(other.seq_pos), slice(number, number + 1))
        self.seq_pos = other.seq_pos

    def get(self, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Return keys and values of the positions before `seq_pos`, each (batch_size, num_heads, seq_pos, head_dim)."""
        self._check_layer(layer_idx)
        keys, values = self._stores[layer_idx]
        return Tensor._wrap(keys.read(self.seq_pos)), Tensor._wrap(values.read(self.seq_pos))

    def advance(self, positions: int = 1) -> None:
        """Count the positions that all layers have just written as past; raise ValueError beyond max_seq_len."""
        if not 0 <= self.seq_pos + positions <= self.max_seq_len:
            raise ValueError(
                f"The cache is at position {self.seq_pos} of {self.max_seq_len}: it cannot advance by {positions}."
            )
        self.seq_pos += positions

    def require_room(self, positions: int) -> None:
        """Raise ValueError unless so many more positions fit."""
        if self.seq_pos + positions > self.max_seq_len:
            raise ValueError(
                f"The cache is full: {positions} more positions after {self.seq_pos} are beyond max_seq_len = "
                f"{self.max_seq_len}. Generate fewer tokens, or call reset() to begin a new text."
            )

    def arrays(self, layer_idx: int) -> tuple[Array, ...]:
        """Return the arrays themselves, for kernels that write to them: keys and values, of int8 also their scales.

        Keys and values are (batch_size, num_heads, max_seq_len, head_dim), the scales of both have 1 for head_dim.
        """
        self._check_layer(layer_idx)
        keys, values = self._stores[layer_idx]
        return tuple(array for pair in zip(keys.arrays, values.arrays, strict=True) for array in pair)

    @property
    def nbytes(self) -> int:
        """The bytes of all layers, for max_seq_len positions."""
        return sum(array.nbytes for pair in self._stores for store in pair for array in store.arrays)

    def reset(self) -> None:
        """Forget all positions; the memory stays."""
        self.seq_pos = 0

    def get_memory_usage(self) -> dict[str, float]:
        """Return total_mb and per_layer_mb of what is held, the number of cache_tensors and of their total_elements."""
        total = self.nbytes / MB_TO_BYTES
        count = 2 * self.num_layers
        elements = count * self.batch_size * self.num_heads * self.max_seq_len * self.head_dim
        return {
            "total_mb": total,
            "per_layer_mb": total / self.num_layers,
            "cache_tensors": count,
            "total_elements": elements,
        }

    @contextmanager
    def generation(self) -> Iterator[KVCache]:
        """Begin a new text: empty the cache, and let `CachedAttention` layers use it inside the block only."""
        self.reset()
        self.is_generating = True
        try:
            yield self
        finally:
            self.is_generating = False

    def _check_layer(self, layer_idx: int) -> None:
        if not 0 <= layer_idx < self.num_layers:
            raise ValueError(f"The cache has the layers 0 to {self.num_layers - 1}, but was asked for {layer_idx}.")

    def _check(self, layer_idx: int, keys: Array, values: Array) -> None:
        self._check_layer(layer_idx)
        fits = keys.ndim == 4 and (*keys.shape[:2], keys.shape[3]) == (self.batch_size, self.num_heads, self.head_dim)
        if not fits or keys.shape != values.shape:
            raise ValueError(
                f"Layer {layer_idx} of the cache takes keys and values of shape ({self.batch_size}, {self.num_heads}, "
                f"T, {self.head_dim}), but got {keys.shape} and {values.shape}."
            )
        self.require_room(keys.shape[2])


class _Floats:
    """Vectors as they are."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values = np.zeros(shape, np.float32)
        self.arrays = (self.values,)

    def write(self, start: int, new: Array, texts: slice = _ALL) -> None:
        self.values[texts, :, start : start + new.shape[2]] = new

    def read(self, stop: int) -> Array:
        return self.values[:, :, :stop]


class _Integers:
    """Vectors as int8, each with the scale that makes its largest magnitude 127."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values = np.zeros(shape, np.int8)
        self.scales = np.zeros((*shape[:3], 1), np.float32)
        self.arrays = (self.values, self.scales)

    def write(self, start: int, new: Array, texts: slice = _ALL) -> None:
        places = (texts, slice(None), slice(start, start + new.shape[2]))
        self.values[places], self.scales[places] = round_vectors(new)

    def read(self, stop: int) -> Array:
        floats: Array = self.values[:, :, :stop].astype(np.float32)
        floats *= self.scales[:, :, :stop]
        return floats


_STORES: dict[str, Any] = {"float32": _Floats, "int8": _Integers}
