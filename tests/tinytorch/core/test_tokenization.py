"""Tokenizers: what they learn, that nothing is lost, and that the same corpus gives the same ids."""

import json
import random
from collections import Counter
from itertools import pairwise

import pytest

from tinytorch.core.tokenization import (
    UNKNOWN,
    BPETokenizer,
    CharTokenizer,
    Tokenizer,
    analyze_tokenization,
    create_tokenizer,
    pieces,
    tokenize_dataset,
)

TEXT = "the cat sat on the mat, the hat that the cat had.\n\n\tThe  end of it\n" * 3


def test_characters_and_back():
    """Sorted characters follow the unknown one; decoding gives the text again."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["hello", "world"])
    assert tokenizer.vocab == [UNKNOWN, *sorted(set("helloworld"))]
    assert tokenizer.vocab_size == len(tokenizer.char_to_id) == len(tokenizer.id_to_char) == 8
    assert tokenizer.decode(tokenizer.encode("hello")) == "hello"
    assert tokenizer.encode("hz") == [tokenizer.char_to_id["h"], 0]
    assert tokenizer.decode([0, 99]) == UNKNOWN * 2


def test_a_character_vocabulary_can_be_given():
    """Ids follow the order of the list."""
    tokenizer = CharTokenizer(["b", "a"])
    assert tokenizer.encode("ab?") == [2, 1, 0]
    assert CharTokenizer().encode("a") == [0]


def slow_merges(text, most):
    """Learn pairs by counting all of them anew before each one."""
    words = [(list(piece), count) for piece, count in Counter(pieces(text)).items()]
    merges = []
    while len(merges) < most:
        counts = Counter()
        for parts, count in words:
            for pair in pairwise(parts):
                counts[pair] += count
        if not counts or max(counts.values()) < 2:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        for parts, _ in words:
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == best:
                    parts[i : i + 2] = ["".join(best)]
                i += 1
    return merges


@pytest.mark.parametrize("seed", range(6))
def test_learning_agrees_with_counting_anew(seed):
    """The fast trainer joins the same pairs in the same order as the plain algorithm, runs of one letter included."""
    rng = random.Random(seed)
    text = "".join(rng.choice("aaabbc  \n") for _ in range(600))
    tokenizer = BPETokenizer(60)
    tokenizer.train(text)
    assert tokenizer.merges == slow_merges(text, len(tokenizer.merges)) != []
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("byte_level", [False, True])
def test_raw_text_survives(byte_level):
    """Blanks, tabs and line ends are part of the tokens, and there are fewer tokens than characters."""
    tokenizer = BPETokenizer(300, byte_level=byte_level)
    tokenizer.train(TEXT)
    ids = tokenizer.encode(TEXT)
    assert tokenizer.decode(ids) == TEXT
    assert len(ids) < len(TEXT) / 2
    assert max(ids) < len(tokenizer.vocab) <= tokenizer.vocab_size


def test_bytes_make_every_text_known():
    """Characters that the corpus never had become their bytes; without bytes they are unknown."""
    with_bytes, without = BPETokenizer(300, byte_level=True), BPETokenizer(300)
    for tokenizer in (with_bytes, without):
        tokenizer.train(TEXT)
    assert with_bytes.decode(with_bytes.encode("漢字 ñ the 🎉")) == "漢字 ñ the 🎉"
    assert without.decode(without.encode("the 漢")) == "the " + UNKNOWN


def test_a_list_of_words_is_a_corpus():
    """As in the course: words, a vocabulary size, frequent words as one token."""
    tokenizer = BPETokenizer(vocab_size=1000)
    tokenizer.train(["hello"] * 5 + ["help"] * 3, vocab_size=20)
    assert tokenizer.vocab_size == 20
    assert {" ", "hello", "help"} <= set(tokenizer.vocab)
    assert [tokenizer.vocab[i] for i in tokenizer.encode("hello help")] == ["hello", " ", "help"]
    assert tokenizer.decode(tokenizer.encode("hello help")) == "hello help"


def test_the_vocabulary_has_its_size():
    """Exactly as many entries as asked for, where the corpus has enough pairs."""
    tokenizer = BPETokenizer(40)
    tokenizer.train(TEXT)
    assert len(tokenizer.vocab) == len(tokenizer.token_to_id) == len(tokenizer.id_to_token) == 40
    with pytest.raises(ValueError, match=r"too small.*vocab_size=\d+ or more"):
        tokenizer.train(TEXT, vocab_size=5)
    with pytest.raises(ValueError, match="bytes are 257 already"):
        BPETokenizer(200, byte_level=True).train(TEXT)


def test_text_without_blanks_is_cut():
    """One endless line is learned from like any other text."""
    assert "".join(pieces("x" * 1000)) == "x" * 1000
    tokenizer = BPETokenizer(100)
    tokenizer.train("ab" * 5000)
    assert tokenizer.decode(tokenizer.encode("ab" * 5000)) == "ab" * 5000


@pytest.mark.parametrize("byte_level", [False, True])
def test_stored_and_read_again(byte_level):
    """The JSON is the same for the same vocabulary and gives the same ids."""
    tokenizer = BPETokenizer(300, byte_level=byte_level)
    tokenizer.train(TEXT + "é")
    again = BPETokenizer.from_json(tokenizer.to_json())
    assert again.to_json() == tokenizer.to_json()
    assert again.encode(TEXT) == tokenizer.encode(TEXT)


DOUBLING = [["a" * 2**i, "a" * 2**i] for i in range(12)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"merges": [["a", "q"]]}, "merge 0 is"),
        ({"merges": DOUBLING}, "merge 8 gives 512 characters"),
        ({"merges": 3}, "merges must be a list"),
        ({"characters": ["ab"]}, "single characters"),
        ({"characters": ["a", "a"]}, "distinct"),
        ({"vocab_size": 1}, "more than vocab_size"),
        ({"vocab_size": True}, "vocab_size must be"),
        ({"format": 2}, "found format 2"),
        ({"more": 1}, "expected an object with"),
    ],
)
def test_a_stored_tokenizer_is_checked(changes, message):
    """Nothing is built from JSON that no tokenizer wrote, however it would grow."""
    facts = {"format": 1, "type": "bpe", "vocab_size": 99, "byte_level": False, "characters": ["a"], "merges": []}
    with pytest.raises(ValueError, match=message):
        BPETokenizer.from_json(json.dumps({**facts, **changes}))


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "null"])
def test_what_is_no_json_object_is_refused(text):
    """Broken, deeply nested and other JSON."""
    with pytest.raises(ValueError, match="tokenizer"):
        BPETokenizer.from_json(text)


def test_create_tokenizer():
    """By strategy, trained if there is a corpus; a misspelt strategy is named."""
    assert isinstance(create_tokenizer(), CharTokenizer)
    assert create_tokenizer("char", corpus=["ab"]).vocab_size == 3
    tokenizer = create_tokenizer("bpe", vocab_size=30, corpus=["abab abab"])
    assert isinstance(tokenizer, BPETokenizer)
    assert tokenizer.encode("abab") == [tokenizer.token_to_id["abab"]]
    with pytest.raises(ValueError, match="Did you mean 'char'"):
        create_tokenizer("chars")


def test_datasets_of_texts():
    """Each text becomes its ids, cut where asked; the analysis counts them."""
    tokenizer = create_tokenizer("char", corpus=["abcd"])
    assert tokenize_dataset(["ab", "abcd"], tokenizer, max_length=3) == [[1, 2], [1, 2, 3]]
    found = analyze_tokenization(["ab", "abcd"], tokenizer)
    assert found == {
        "vocab_size": 5,
        "avg_sequence_length": 3.0,
        "max_sequence_length": 4,
        "total_tokens": 6,
        "unique_tokens": 4,
        "compression_ratio": 1.0,
    }
    with pytest.raises(ValueError, match="at least one text"):
        analyze_tokenization([], tokenizer)
    with pytest.raises(TypeError, match="list of texts"):
        tokenize_dataset([["a"]], tokenizer)
    for each in (tokenizer, BPETokenizer()):
        with pytest.raises(TypeError, match="takes a text, but got a list"):
            each.encode(["a"])


def test_the_base_names_what_is_missing():
    """A tokenizer of one's own defines encode and decode."""
    with pytest.raises(NotImplementedError, match="encode"):
        Tokenizer().encode("a")
    with pytest.raises(ValueError, match="whole number"):
        BPETokenizer(0)
