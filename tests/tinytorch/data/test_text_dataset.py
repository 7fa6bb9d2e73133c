"""The data set `text`: what every data set has, with tokens for images and a file for a folder."""

import numpy as np
import pytest

from tinytorch.data import load_dataset_module
from tinytorch.data.text import classes_count, files, load, shape
from tinytorch.data.tokens import TextSplit, Tokens, read_split
from tinytorch.errors import DataFileError

TEXT = "".join(f"line {i} of the text, été\n" for i in range(200))


@pytest.fixture
def path(tmp_path):
    """Return a small text with letters that are two bytes long."""
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "a.txt"


def split(count=11, context=3):
    """Return the tokens 0, 1, 2, …, each of one byte."""
    return TextSplit(Tokens(np.arange(count, dtype=np.int32)), context, np.ones(count, np.int32))


def test_it_is_in_the_table():
    """By its name, with the functions that every data set has."""
    module = load_dataset_module("text")
    assert all(hasattr(module, name) for name in ("ARGS", "load", "shape", "classes_count", "files"))


@pytest.mark.parametrize("tokenizer", ["bpe", "char"])
def test_shape_and_classes_are_as_announced(path, tokenizer):
    """What is said before loading is what is loaded; byte pairs may find fewer entries than they may have."""
    data = load(path, 0, context=8, tokenizer=tokenizer, vocab_size=300)
    assert data.train.shape == shape(context=8, tokenizer=tokenizer, vocab_size=300) == (8,)
    announced = classes_count(tokenizer=tokenizer, vocab_size=300)
    assert (announced is None) if tokenizer == "char" else len(data.classes) <= announced
    assert data.counts()["test"] == len(data.test) * 8


@pytest.mark.parametrize("tokenizer", ["bpe", "char"])
def test_the_bytes_of_all_tokens_are_those_of_the_text(path, tokenizer):
    """Letters of two bytes count as two, by either tokenizer."""
    data = load(path, 0, context=8, tokenizer=tokenizer)
    found = sum(int(part.token_bytes[part.tokens.ids].sum()) for part in data.splits().values())
    assert found == len(TEXT.encode())


def test_what_is_unknown_has_no_bytes(tmp_path):
    """Nobody knows how many: bits per byte are rather too high."""
    (tmp_path / "a.txt").write_text("abc" * 200 + "é" * 120, encoding="utf-8")
    data = load(tmp_path / "a.txt", 0, context=4, tokenizer="char")
    assert data.test.window_bytes().sum() == 0


def test_what_looks_unknown_in_a_text_has_its_bytes(tmp_path):
    """Byte pairs know every text: what they learned as <UNK> stands for five characters."""
    path = tmp_path / "text.txt"
    path.write_text("<UNK>\t<UNK>\n" * 300)
    data = load(path, 0, context=4, vocab_size=300)
    found = sum(int(part.token_bytes[part.tokens.ids].sum()) for part in data.splits().values())
    assert data.train.token_bytes[0] == 5
    assert found == path.stat().st_size


def test_loading_again_gives_the_same_content(path):
    """The experiment's seed moves no token; another vocabulary is another data set."""
    assert load(path, 0, context=8).digest() == load(path, 1, context=8).digest()
    assert load(path, 0, context=8).digest() != load(path, 0, context=8, vocab_size=260).digest()


def test_a_part_survives_as_arrays():
    """What goes through the store comes back with the same digest."""
    assert read_split(split().to_arrays()).digest() == split().digest()


def test_windows_are_given_as_networks_take_them():
    """Ids as float32, by position."""
    images = split().images(np.array([2, 0]))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, [[6, 7, 8], [0, 1, 2]])
    assert len(split()) == 3


@pytest.mark.parametrize("context", [0, 6, 99])
def test_two_windows_at_least(context):
    """From one nothing can be said about how sure a figure is."""
    with pytest.raises(ValueError, match="context must be from 1 to 5"):
        split(context=context)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array([0, 99] * 9, np.int32)}, "ids must be from 0 to 10, not 0 to 99"),
        ({"ids": np.array([0, -1] * 9, np.int32)}, "ids must be from 0 to 10, not -1 to 0"),
        ({"token_bytes": np.full(11, -1, np.int32)}, "must not be negative"),
        ({"token_bytes": np.ones(11)}, "token_bytes must be int32"),
        ({"context": np.array([3.0])}, "context must be one int64"),
        ({"more": np.ones(3)}, "a part of a text has the arrays"),
    ],
)
def test_damaged_arrays_are_refused(change, message):
    """Of another type, or with ids that the vocabulary does not have."""
    with pytest.raises(ValueError, match=message):
        read_split(split().to_arrays() | change)


def test_a_text_too_short_for_its_context(path):
    """The part and what it needs are named."""
    with pytest.raises(DataFileError, match=r"tokens in its part for validation, expected more than 400:"):
        load(path, 0, context=200)


def test_the_files_are_the_text(path):
    """The path that is given, else the module with the default text; a folder is no text."""
    assert files(path) == [path]
    assert files(None)[0].name.startswith("topics")
    with pytest.raises(DataFileError, match="no regular file"):
        files(path.parent)
    with pytest.raises(DataFileError, match="nothing there"):
        files(path.parent / "b.txt")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"tokenizer": "bpf"}, "tokenizer must be one of bpe, char, not 'bpf'; did you mean 'bpe'"),
        ({"vocab_size": 100}, "vocab_size must be an integer from 257"),
        ({"context": 0}, "context must be"),
        ({"test_share": 0.9}, "test_share <= 0.4"),
        ({"contxt": 8}, "text has no argument 'contxt'; did you mean 'context'"),
    ],
)
def test_arguments_are_checked(path, args, message):
    """By all functions, before anything is read."""
    for call in (lambda: load(path, 0, **args), lambda: shape(**args), lambda: files(path, **args)):
        with pytest.raises(ValueError, match=message):
            call()
