"""Texts as tokens."""

import gzip
import hashlib
import sys

import numpy as np
import pytest

from tinytorch.core.tokenization import BPETokenizer, CharTokenizer
from tinytorch.data.text import default_text, load_corpus, read_text
from tinytorch.data.tokens import Tokens
from tinytorch.errors import DataFileError


def tokens(count):
    """Return the tokens 0, 1, 2, …."""
    return Tokens(np.arange(count, dtype=np.int32))


def test_windows_cover_the_text_once():
    """A target is the next token; what is left at the end is not used."""
    inputs, targets = tokens(11).windows(3)
    np.testing.assert_array_equal(inputs, [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(targets, inputs + 1)
    assert tokens(10).windows(3)[1][-1, -1] == 9


def test_samples_come_from_every_place():
    """From the first to the last one that has a target, the same for the same generator."""
    inputs, targets = tokens(6).sample(200, 3, np.random.default_rng(0))
    assert set(inputs[:, 0].tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(tokens(6).sample(200, 3, np.random.default_rng(0))[0], inputs)


@pytest.mark.parametrize("context", [0, 5, 99])
def test_a_context_that_does_not_fit(context):
    """Too long, or of nothing."""
    with pytest.raises(ValueError, match="context must be from 1 to 4"):
        tokens(5).windows(context)


def test_tokens_are_checked_and_stay():
    """Another type is refused; the array is read-only."""
    with pytest.raises(ValueError, match="int32 of shape"):
        Tokens(np.zeros((2, 2), np.int32))
    with pytest.raises(ValueError, match="read-only"):
        tokens(3).ids[0] = 1


def test_every_python_has_the_default_text():
    """Some hundred thousand characters about Python, the same twice."""
    text = default_text()
    assert len(text) > 200_000
    assert "assert_stmt" in text
    assert default_text() == text


def test_a_python_without_it_says_so(monkeypatch):
    """A distributor may leave pydoc_data out."""
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataFileError, match="no such module in this Python"):
        default_text()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_becomes_three_parts_in_order(tmp_path, pack):
    """Together they are the text; the tokenizer knows the first only; the digest is the text's."""
    text = "".join(chr(97 + i // 100) for i in range(1000))
    (tmp_path / "a.txt").write_bytes(pack(text.encode()))
    corpus = load_corpus(tmp_path / "a.txt", "char")
    assert isinstance(corpus.tokenizer, CharTokenizer)
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (800, 100, 100)
    assert corpus.tokenizer.decode(corpus.train.ids) == text[:800]
    assert set(corpus.validation.ids.tolist()) == {0}
    assert (corpus.sha256, corpus.characters) == (hashlib.sha256(text.encode()).hexdigest(), 1000)


def test_line_ends_are_kept(tmp_path):
    """Bytes are decoded, not translated."""
    (tmp_path / "a.txt").write_bytes("a\r\né\n".encode())
    assert read_text(tmp_path / "a.txt") == "a\r\né\n"


def test_the_default_corpus_in_tokens():
    """Byte pairs learned from the training part, and fewer of them than characters."""
    corpus = load_corpus(vocab_size=300)
    assert isinstance(corpus.tokenizer, BPETokenizer)
    assert len(corpus.train) < 0.8 * corpus.characters * 0.8
    assert int(corpus.train.ids.max()) < 300


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"abc\xff", r"byte 0xff at 3, which is no UTF-8"), (b"ab", "2 characters, of which"), (None, "nothing there")],
)
def test_what_is_no_text(tmp_path, content, message):
    """Other bytes, too few of them, and no file."""
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataFileError, match=message):
        load_corpus(tmp_path / "a.txt", "char")


def test_shares_leave_something():
    """Both are named."""
    with pytest.raises(ValueError, match=r"not 0\.5 and 0\.5"):
        load_corpus(validation_share=0.5, test_share=0.5)
