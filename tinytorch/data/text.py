"""Text as tokens: a corpus, its tokenizer, and the windows that a language model is trained and judged on.

Without a file the corpus is the documentation of Python's own language, which every Python has (`pydoc_data.topics`);
it differs a little from version to version, so a corpus carries the digest of its text. The three parts follow each
other in the text, and the tokenizer learns from the first only.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np

from tinytorch.arguments import Argument, choice, integer, number, with_defaults
from tinytorch.core.tokenization import UNKNOWN, BPETokenizer, CharTokenizer, Tokenizer
from tinytorch.data.reading import open_data
from tinytorch.data.tokens import TextDataset, TextSplit, Tokens
from tinytorch.errors import DataFileError

__all__ = [
    "ARGS",
    "Corpus",
    "TOKENIZERS",
    "classes_count",
    "default_text",
    "files",
    "load",
    "load_corpus",
    "read_text",
    "shape",
]

ARGS: dict[str, Argument] = {
    "context": 64,
    "test_share": 0.1,
    "tokenizer": "bpe",
    "validation_share": 0.1,
    "vocab_size": 512,
}

_LEAST_ENTRIES = 257  # what is unknown, and every byte
_MOST_BYTES = 1 << 28
_CHUNK = 1 << 20
_TEXT = f"UTF-8 text of at most {_MOST_BYTES:,} bytes, plain or gzip-compressed"
_TOPICS = "pydoc_data.topics"


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
    vocab_size: int = 512,
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Corpus:
    """Read a text, or take the default one, divide it, and turn it into tokens of `TOKENIZERS`.

    Shares are of the characters. Raises DataFileError for a file that is no text or too short for three parts, and
    ValueError for shares that leave nothing, an unknown kind of tokenizer, or a vocab_size that is too small for it.
    """
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise ValueError(
            "validation_share and test_share must be positive with a sum below 1, not "
            f"{validation_share} and {test_share}"
        )
    make = TOKENIZERS[choice("tokenizer", tokenizer, sorted(TOKENIZERS))]
    text = default_text() if path is None else read_text(path)
    name = _TOPICS if path is None else path.name
    ends = [0, round(len(text) * (1 - validation_share - test_share)), round(len(text) * (1 - test_share)), len(text)]
    parts = [text[start:end] for start, end in pairwise(ends)]
    if not all(parts):
        found = f"{len(text)} characters, of which a part would have none"
        raise DataFileError(path or name, found, "a text long enough for train, validation and test")
    chosen = make(parts[0], vocab_size)
    train, validation, test = (Tokens(np.array(chosen.encode(part), np.int32)) for part in parts)
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
    return Corpus(name, digest, len(text), chosen, train, validation, test)


def _byte_pairs(text: str, vocab_size: int) -> Tokenizer:
    """Learn byte pairs over bytes: no text is unknown, so that bits per byte count every one of them."""
    tokenizer = BPETokenizer(vocab_size, byte_level=True)
    tokenizer.train(text)
    return tokenizer


def _characters(text: str, vocab_size: int) -> Tokenizer:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([text])
    return tokenizer


TOKENIZERS: dict[str, Callable[[str, int], Tokenizer]] = {"bpe": _byte_pairs, "char": _characters}


def load(root: Path | None, seed: int, **args: Argument) -> TextDataset:
    """Return the parts of the text in the file `root`, or of the default one; `seed` changes nothing.

    Raises DataFileError for a file that is no text, or too short for two windows in each part.
    """
    settings = _Settings.of(args)
    corpus = load_corpus(root, settings.tokenizer, settings.vocab_size, settings.validation_share, settings.test_share)
    vocabulary = _vocabulary(corpus.tokenizer)
    sizes = np.array([_size(entry, corpus.tokenizer) for entry in vocabulary], np.int32)
    parts = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test}
    for role, tokens in parts.items():
        if len(tokens) <= 2 * settings.context:
            found = f"{len(tokens):,} tokens in its part for {role}"
            wanted = f"more than {2 * settings.context:,}: two windows of context={settings.context} and the next token"
            raise DataFileError(root or corpus.name, found, wanted)
    splits = {role: TextSplit(tokens, settings.context, sizes) for role, tokens in parts.items()}
    return TextDataset("text", vocabulary, **splits)


def shape(**args: Argument) -> tuple[int]:
    """Return the shape (context,) of a window."""
    return (_Settings.of(args).context,)


def classes_count(**args: Argument) -> int | None:
    """Return the most entries that the vocabulary may have; None for characters, which the text decides."""
    settings = _Settings.of(args)
    return settings.vocab_size if settings.tokenizer == "bpe" else None


def files(root: Path | None, **args: Argument) -> list[Path]:
    """Return the file that the content depends on: the text `root`, or the module that has the default one.

    Raises DataFileError where there is none.
    """
    _Settings.of(args)
    if root is not None:
        if not root.is_file():
            raise DataFileError(root, "no regular file" if root.exists() else "nothing there", _TEXT)
        return [root]
    spec = importlib.util.find_spec(_TOPICS)
    return [Path(spec.origin)] if spec is not None and spec.origin and Path(spec.origin).is_file() else []


@dataclass(frozen=True)
class _Settings:
    """The checked arguments."""

    context: int
    test_share: float
    tokenizer: str
    validation_share: float
    vocab_size: int

    @classmethod
    def of(cls, args: dict[str, Argument]) -> _Settings:
        chosen = with_defaults("text", ARGS, args)
        kind = choice("tokenizer", chosen["tokenizer"], sorted(TOKENIZERS))
        return cls(
            context=integer("context", chosen["context"], 1, 65_536),
            test_share=number("test_share", chosen["test_share"], 0.001, 0.4),
            tokenizer=kind,
            validation_share=number("validation_share", chosen["validation_share"], 0.001, 0.4),
            vocab_size=integer("vocab_size", chosen["vocab_size"], _LEAST_ENTRIES, 65_536),
        )


def _vocabulary(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the entries in the order of their ids."""
    entries: list[str] = tokenizer.vocab if isinstance(tokenizer, BPETokenizer | CharTokenizer) else []
    return tuple(entries)


def _size(entry: str, tokenizer: Tokenizer) -> int:
    """Return the bytes in UTF-8 that an entry stands for: of byte pairs each character is one."""
    if isinstance(tokenizer, BPETokenizer):  # to which no byte is unknown, but a text may have these five characters
        is_learned = entry != UNKNOWN or any("".join(pair) == entry for pair in tokenizer.merges)
        return len(entry) if is_learned else 0
    return 0 if entry == UNKNOWN else len(entry.encode("utf-8", errors="surrogatepass"))
