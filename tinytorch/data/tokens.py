"""Texts as tokens, as values: `Tokens`, a `TextSplit` of windows that a language model is judged on, a `TextDataset`.

Where a text comes from and which tokenizer cut it is the business of tinytorch.data.text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.digest import arrays_digest

__all__ = ["TextDataset", "TextSplit", "Tokens", "random_split", "read_split"]

_ARRAYS = frozenset({"context", "ids", "token_bytes"})
_MOST_ENTRIES = 1 << 24  # of a vocabulary: above, an id is no float32 any more, as which a network gets it


@dataclass(frozen=True, eq=False)
class Tokens:
    """The ids of a part of a text, in order: int32 (N,), read-only. Raises ValueError for another type or shape."""

    ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Check the array and make it read-only."""
        if self.ids.ndim != 1 or self.ids.dtype != np.int32:
            raise ValueError(f"tokens must be int32 of shape (N,), not {self.ids.dtype} {self.ids.shape}")
        frozen = self.ids.view()
        frozen.flags.writeable = False
        object.__setattr__(self, "ids", frozen)

    def __len__(self) -> int:
        """Return the number of tokens N."""
        return len(self.ids)

    def windows(self, context: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return inputs and targets (n, context) that cover the text once; what is left over at the end is not used.

        A target is the token after the input's. Raises ValueError for a text of fewer than context + 1 tokens.
        """
        count = self._places(context) // context
        ids = self.ids[: count * context + 1]
        return ids[:-1].reshape(count, context), ids[1:].reshape(count, context)

    def sample(self, count: int, context: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return inputs and targets (count, context) from random places of the text; ValueError as for `windows`."""
        starts = rng.integers(0, self._places(context) - context + 1, count)
        rows = self.ids[starts[:, np.newaxis] + np.arange(context + 1)]
        return rows[:, :-1], rows[:, 1:]

    def _places(self, context: int) -> int:
        if not 1 <= context < len(self):
            raise ValueError(
                f"a text of {len(self):,} tokens has no window of {context:,} and the token after it; the context must "
                f"be from 1 to {max(1, len(self) - 1):,}"
            )
        return len(self) - 1


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Hold a part of a text and the `context`, how many tokens a network is given; it is judged on windows of these.

    `token_bytes` (V,) has the bytes in UTF-8 of each entry of the vocabulary, 0 where nobody knows: the entry for what
    is unknown. Raises ValueError if the parts do not fit together, and for a text without two windows: from one window
    nothing can be said about how sure a figure is.
    """

    tokens: Tokens
    context: int
    token_bytes: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Check the parts; make the array read-only."""
        if self.token_bytes.dtype != np.int32 or self.token_bytes.ndim != 1 or len(self.token_bytes) > _MOST_ENTRIES:
            found = f"{self.token_bytes.dtype} {self.token_bytes.shape}"
            raise ValueError(f"token_bytes must be int32 of shape (V,), not {found}")
        if len(self.token_bytes) and self.token_bytes.min() < 0:
            raise ValueError(f"token_bytes must not be negative, but one is {self.token_bytes.min()}")
        ids = self.tokens.ids
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self.token_bytes):
            raise ValueError(f"ids must be from 0 to {len(self.token_bytes) - 1}, not {ids.min()} to {ids.max()}")
        if not 1 <= self.context <= (len(ids) - 1) // 2:
            raise ValueError(
                f"context must be from 1 to {max(1, (len(ids) - 1) // 2)}, not {self.context}: a part of {len(ids):,} "
                "tokens has no two windows of it"
            )
        frozen = self.token_bytes.view()
        frozen.flags.writeable = False
        object.__setattr__(self, "token_bytes", frozen)

    def __len__(self) -> int:
        """Return the number of windows n."""
        return (len(self.tokens) - 1) // self.context

    @property
    def shape(self) -> tuple[int]:
        """The shape (context,) of a window."""
        return (self.context,)

    def images(self, index: Any = slice(None)) -> NDArray[np.float32]:
        """Return the windows at `index` as a network gets them: float32 (n, context). Named as those of a Split."""
        chosen: NDArray[np.int32] = self.windows()[0][index]
        return chosen.astype(np.float32)

    @property
    def labels(self) -> NDArray[np.int32]:
        """The token after each of the windows' tokens, (n, context)."""
        return self.windows()[1]

    def windows(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return inputs and targets (n, context)."""
        return self.tokens.windows(self.context)

    def window_bytes(self) -> NDArray[np.int64]:
        """Return the bytes of the text that the targets of each window stand for, (n,)."""
        found: NDArray[np.int64] = self.token_bytes[self.windows()[1]].sum(axis=1, dtype=np.int64)
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as named arrays; `from_arrays` is the inverse."""
        return {
            "context": np.array([self.context], dtype=np.int64),
            "ids": self.tokens.ids,
            "token_bytes": self.token_bytes,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TextSplit:
        """Build a split from the arrays of `to_arrays`; raises ValueError for other names, types or shapes."""
        if arrays.keys() != _ARRAYS:
            raise ValueError(f"a part of a text has the arrays {sorted(_ARRAYS)}, not {sorted(arrays)}")
        context = arrays["context"]
        if context.dtype != np.int64 or context.shape != (1,):
            raise ValueError(f"context must be one int64, not {context.dtype} {context.shape}")
        return cls(Tokens(arrays["ids"]), int(context[0]), arrays["token_bytes"])

    def digest(self) -> str:
        """Return the sha256 (hex) of names, types, shapes and little-endian bytes of all arrays."""
        return arrays_digest("tinytorch text split 1", self.to_arrays())


def read_split(arrays: Mapping[str, NDArray[Any]]) -> TextSplit:
    """Return the split with these arrays; raises ValueError as `TextSplit.from_arrays`."""
    return TextSplit.from_arrays(arrays)


def random_split(shape: tuple[int, ...], classes: int, count: int, rng: np.random.Generator) -> TextSplit:
    """Return `count` windows of `shape` (context,) of random tokens, two at least: what a pass is tried out on."""
    (context,) = shape
    ids = rng.integers(0, classes, max(2, count) * context + 1).astype(np.int32)
    return TextSplit(Tokens(ids), context, np.ones(classes, np.int32))


@dataclass(frozen=True, eq=False)
class TextDataset:
    """Hold the entries of a vocabulary and three parts of a text that follow each other: train, validation, test."""

    name: str
    classes: tuple[str, ...]
    train: TextSplit
    validation: TextSplit
    test: TextSplit

    def splits(self) -> dict[str, TextSplit]:
        """Return the parts by role: train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def counts(self) -> dict[str, int]:
        """Return by role how many tokens are predicted."""
        return {role: len(split) * split.context for role, split in self.splits().items()}

    def digest(self) -> str:
        """Return the sha256 (hex) of vocabulary and parts; the data set's own name does not count."""
        state = hashlib.sha256(b"tinytorch text dataset 1\n")
        for name in self.classes:
            data = name.encode("utf-8", errors="surrogatepass")
            state.update(f"{len(data)}:".encode() + data)
        for role, split in self.splits().items():
            state.update(f"\n{role} {split.digest()}".encode())
        return state.hexdigest()
