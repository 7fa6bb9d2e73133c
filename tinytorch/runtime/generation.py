"""Continuing texts as they are continued in earnest: the prompts at once, then one token after the other.

Which code computes a token is decided once, when this is made: native kernels where they can, else NumPy. How tokens
are chosen is the caller's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.decoding import Decoder
from tinytorch.core.layer import walk
from tinytorch.kernels import native
from tinytorch.runtime.decoding import NativeDecoder, why_not_native
from tinytorch.runtime.quantized import QuantizedLinear

if TYPE_CHECKING:
    from tinytorch.core.transformers import GPT

__all__ = ["Generation"]

# A single prompt is read natively. Several are, position by position, which touches all weights for each of them, where
# that is quicker than all positions at once in NumPy: up to so many bytes. Measured on one core, 16 to 128 tokens: a
# GPT of 0.5 MB is read 3.5 to 1.2 times as fast, one of 3.6 MB is even at 32 tokens, one of 50 MB takes twice as long
# with 16. NumPy's integers are slow: one of 1.3 MB is read 4 to 6 times as fast at any of these lengths, one of 14 MB 3
# to 7 times with up to 64 tokens, and is even at 128.
_MOST_READ_FLOATS = 128 * 2**20
_MOST_READ_INTEGERS = 2**31

Array: TypeAlias = NDArray[Any]
Ids: TypeAlias = NDArray[np.integer[Any]]


class Generation:
    """Texts of a model that grow: `begin` takes prompts (B, T), `step` a token of each (B,); both give scores (B, V).

    `cache` says how keys and values of earlier positions are kept: "float32", "int8", or None to compute them again for
    every token, with the same kernels, one text after the other. There is room for `length` positions. `computed_by`
    names the instruction set of the native kernels that decode, or "numpy" with the `reason` why; `cache_bytes` is what
    the cache holds. The weights are read when it is made. Raises ValueError for sizes that do not fit the model.
    """

    def __init__(
        self, model: GPT, batch_size: int, length: int, cache: str | None = "float32", threads: int = 1
    ) -> None:
        if not 1 <= length <= model.max_seq_len:
            raise ValueError(f"a text of {length} tokens is not within 1 to max_seq_len = {model.max_seq_len}")
        self._model, self._length = model, length
        self._text = np.zeros((batch_size, length), np.intp)
        self._count = 0
        self._cache = None if cache is None else model.new_cache(batch_size, length, cache)
        self._decoder: Decoder | NativeDecoder | None = None
        self._reader: NativeDecoder | None = None  # of one whole text, whose keys and values nobody reads afterwards
        written = self._cache or model.new_cache(1, length, "float32")
        self.reason = why_not_native(model, written)
        if self._cache is None:
            self._reader = None if self.reason else NativeDecoder(model, written, threads)
        elif not self.reason:
            self._decoder = NativeDecoder(model, self._cache, threads)
        elif model.is_plain():
            self._decoder = Decoder(model, self._cache)
        is_rounded = any(isinstance(layer, QuantizedLinear) for layer in walk(model))
        self._most_read = _MOST_READ_INTEGERS if is_rounded else _MOST_READ_FLOATS
        self.computed_by = "numpy" if self.reason else str(native.isa())
        self.cache_bytes = 0 if self._cache is None else round(self._cache.get_memory_usage()["total_mb"] * 2**20)

    def begin(self, prompts: Ids) -> Array:
        """Begin new texts; return the scores of the token after each prompt. Raises ValueError if they do not fit."""
        count = prompts.shape[1]
        if count > self._length:
            raise ValueError(f"a prompt of {count} tokens does not fit into {self._length} positions")
        self._text[:, :count], self._count = prompts, count
        # Read at once, a prompt attends to its own keys and values before a cache of int8 rounds them.
        cache, decoder = self._cache, self._decoder
        is_exact = cache is not None and cache.dtype == "float32"
        if is_exact and isinstance(decoder, NativeDecoder) and self._is_read_natively(prompts, decoder):
            return decoder.read(self._text[:, :count], 0)
        return self._scores_from(0)

    def _is_read_natively(self, prompts: Ids, decoder: NativeDecoder) -> bool:
        """Say whether that is quicker: a text alone is read many positions at once, several one position at a time."""
        return len(prompts) == 1 or prompts.shape[1] * decoder.working_set_bytes <= self._most_read

    def step(self, tokens: Ids) -> Array:
        """Append a token to each text; return the scores of the next. Raises ValueError where there is no room."""
        if self._count == self._length:
            raise ValueError(f"the texts have all their {self._length} positions already")
        self._text[:, self._count] = tokens
        self._count += 1
        if self._decoder is not None:
            return self._decoder.step(self._text[:, self._count - 1])
        return self._scores_from(0 if self._cache is None else self._count - 1)

    def _scores_from(self, start: int) -> Array:
        """Return the scores after all tokens so far, of which those from `start` on are computed."""
        text = self._text[:, start : self._count]
        if self._reader is not None:
            return np.concatenate([self._reader.read(one[np.newaxis], 0) for one in text])
        return self._model.scores_after(text, start, self._cache)
