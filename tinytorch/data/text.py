"""Text as tokens: a corpus, its tokenizer, and the windows that a language model is trained and judged on.

Without a file the corpus is the documentation of Python's own language, which every Python has (`pydoc_data.topics`);
it differs a little from version to version, so a corpus carries the digest of its text. The three parts follow each
other in the text, and the tokenizer learns from the first only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.tokenization import Tokenizer, create_tokenizer
from tinytorch.data.reading import open_data
from tinytorch.errors import DataFileError

__all__ = ["Corpus", "Tokens", "default_text", "load_corpus", "read_text"]

_MOST_BYTES = 1 << 28
_CHUNK = 1 << 20
_TEXT = f"UTF-8 text of at most {_MOST_BYTES:,} bytes, plain or gzip-compressed"
_TOPICS = "pydoc_data.topics"


@dataclass(frozen=True, eq=False)
class Tokens:
    """The ids of a part of a text, in order: int32 (N,), read-only. Raises ValueError for another type or shape."""

    ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Check the array and make it read-only."""
        if self.ids.ndim != 1 or self.ids.dtype != np.int32:
            raise ValueError(f"tokens must be int32 of shape (N,), not {self.ids.dtype} {self.ids.shape}")
        self.ids.flags.writeable = False

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
class Corpus:
    """A text in three parts with its tokenizer; `sha256` is the digest of the text, `characters` its length."""

    name: str
    sha256: str
    characters: int
    tokenizer: Tokenizer
    train: Tokens
    validation: Tokens
    test: Tokens


def default_text() -> str:
    """Return the documentation of Python's language, its topics in alphabetical order.

    Raises DataFileError where a distributor has left `pydoc_data` out.
    """
    try:
        topics: dict[str, str] = import_module(_TOPICS).topics
    except (ImportError, AttributeError) as error:
        raise DataFileError(
            _TOPICS, "no such module in this Python", "its texts; or name a file of your own"
        ) from error
    return "\n\n".join(topics[name] for name in sorted(topics))


def read_text(path: Path) -> str:
    """Return the text of a file with line ends as they are; raises DataFileError for what is no text or too much."""
    if not path.is_file():
        raise DataFileError(path, "no regular file" if path.exists() else "nothing there", _TEXT)
    data = bytearray()
    with open_data(path, _TEXT) as stream:
        while chunk := stream.read(_CHUNK):
            data += chunk
            if len(data) > _MOST_BYTES:
                raise DataFileError(path, f"more than {_MOST_BYTES:,} bytes", _TEXT)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at {error.start:,}, which is no UTF-8"
        raise DataFileError(path, found, _TEXT) from error


def load_corpus(
    path: Path | None = None,
    tokenizer: str = "bpe",
    vocab_size: int = 1000,
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Corpus:
    """Read a text, or take the default one, divide it, and turn it into tokens of `create_tokenizer`'s kind.

    Shares are of the characters. Raises DataFileError for a file that is no text or too short for three parts, and
    ValueError for shares that leave nothing, an unknown kind of tokenizer, or a vocab_size below the number of
    characters.
    """
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise ValueError(
            "validation_share and test_share must be positive with a sum below 1, not "
            f"{validation_share} and {test_share}"
        )
    text = default_text() if path is None else read_text(path)
    name = _TOPICS if path is None else path.name
    ends = [0, round(len(text) * (1 - validation_share - test_share)), round(len(text) * (1 - test_share)), len(text)]
    parts = [text[start:end] for start, end in pairwise(ends)]
    if not all(parts):
        found = f"{len(text)} characters, of which a part would have none"
        raise DataFileError(path or name, found, "a text long enough for train, validation and test")
    chosen = create_tokenizer(tokenizer, vocab_size, [parts[0]])
    train, validation, test = (Tokens(np.array(chosen.encode(part), np.int32)) for part in parts)
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
    return Corpus(name, digest, len(text), chosen, train, validation, test)
