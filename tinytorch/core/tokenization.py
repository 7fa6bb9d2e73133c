"""Text to integers and back: one id for each character, or byte-pair encoding learned from a text.

Id 0 is what the vocabulary does not know, `UNKNOWN`. Byte-pair encoding never joins across the pieces that `pieces`
cuts a text into, so it learns from each distinct piece once, however often it occurs.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Self, TypeAlias

__all__ = [
    "BPETokenizer",
    "CharTokenizer",
    "Tokenizer",
    "UNKNOWN",
    "analyze_tokenization",
    "create_tokenizer",
    "pieces",
    "tokenize_dataset",
]

UNKNOWN = "<UNK>"
LEAST_COUNT = 2  # a pair seen once is no pattern: Sennrich et al.'s subword-nmt stops there as well
# A word with the blank before it, or white space; the last blank of a run belongs to the next word, as in GPT-2. The
# bound keeps a file without blanks (base64, one long line) from being one piece that every merge reads again.
PIECE = re.compile(r" ?\S{1,64}|\s{1,64}(?!\S)|\s")
LONGEST_ENTRY = 4 * 65  # the bytes of the longest piece
MOST_CACHED_PIECES = 1 << 17

Pair: TypeAlias = tuple[str, str]


def pieces(text: str) -> list[str]:
    """Cut a text into words, each with the blank before it, and white space; joined they are the text again."""
    return PIECE.findall(text)


class Tokenizer:
    """The base: a subclass turns text into ids and back without loss, where its vocabulary knows the characters."""

    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        raise NotImplementedError(f"{type(self).__name__} must define encode(text).")

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of ids."""
        raise NotImplementedError(f"{type(self).__name__} must define decode(tokens).")


class CharTokenizer(Tokenizer):
    """One id for each character: 0 is `UNKNOWN`, the characters of the vocabulary follow from 1.

    `vocab` lists characters in the order of their ids; `build_vocab` collects them from texts instead.
    """

    def __init__(self, vocab: Sequence[str] | None = None) -> None:
        self._set_vocab(vocab or ())

    def _set_vocab(self, characters: Iterable[str]) -> None:
        self.vocab = [UNKNOWN, *(c for c in dict.fromkeys(characters) if c != UNKNOWN)]
        self.vocab_size = len(self.vocab)
        self.id_to_char = dict(enumerate(self.vocab))
        self.char_to_id = {character: i for i, character in enumerate(self.vocab)}

    def build_vocab(self, corpus: Sequence[str]) -> None:
        """Take all characters of the texts, sorted; raise TypeError for what is no list of texts."""
        self._set_vocab(sorted(set().union(*_texts("build_vocab", corpus))))

    def encode(self, text: str) -> list[int]:
        """Return one id for each character; 0 for those that the vocabulary does not have."""
        _check_text(text)
        known = self.char_to_id
        return [known.get(character, 0) for character in text]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the characters of ids, `UNKNOWN` for ids that there are not."""
        known = self.id_to_char
        return "".join([known.get(int(token), UNKNOWN) for token in tokens])


class BPETokenizer(Tokenizer):
    """Byte-pair encoding [Sennrich et al., 2016]: join the most frequent pair of neighbours, again and again.

    The vocabulary is `UNKNOWN`, the characters of the corpus (or, with `byte_level`, all 256 bytes of UTF-8, so that
    no text is unknown [Radford et al., 2019]), then what `merges` give, at most `vocab_size` entries together. Before
    `train` it knows nothing, or the bytes. `token_to_id` and `id_to_token` are the vocabulary both ways.
    """

    def __init__(self, vocab_size: int = 1000, *, byte_level: bool = False) -> None:
        self.vocab_size, self.byte_level = _checked_size(vocab_size), byte_level
        self._set_vocab([], [])

    def _set_vocab(self, characters: Sequence[str], merges: Sequence[Pair]) -> None:
        base = [chr(byte) for byte in range(256)] if self.byte_level else characters
        self.merges: list[Pair] = list(merges)
        self.vocab = list(dict.fromkeys([UNKNOWN, *base, *(left + right for left, right in merges)]))
        self.id_to_token = dict(enumerate(self.vocab))
        self.token_to_id = {token: i for i, token in enumerate(self.vocab)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[int]] = {}

    def train(self, corpus: Sequence[str] | str, vocab_size: int | None = None) -> None:
        """Learn a vocabulary of at most `vocab_size` entries from a text, or from a list of words or of texts.

        Entries of a list are texts of their own, and a blank, to write between them, is always known. Of equally
        frequent pairs the first in the order of its characters is joined, so that the same corpus gives the same
        vocabulary. Fewer entries are learned where no pair occurs twice any more. Raises ValueError if the characters
        alone are more than `vocab_size`.
        """
        size = self.vocab_size if vocab_size is None else _checked_size(vocab_size)
        texts = _texts("train", corpus)
        counts = Counter(piece for text in texts for piece in pieces(text))
        if self.byte_level:
            counts = Counter({_as_bytes(piece): count for piece, count in counts.items()})
        characters = [] if self.byte_level else sorted(set().union(" ", *texts))
        spare = size - 1 - (256 if self.byte_level else len(characters))
        if spare < 0:
            raise ValueError(
                f"A vocabulary of {size} entries is too small: {UNKNOWN} and the "
                f"{'bytes' if self.byte_level else 'distinct characters of the corpus'} are {size - spare} already. "
                f"Choose vocab_size={size - spare} or more."
            )
        self.vocab_size = size
        self._set_vocab(characters, _learned_merges(counts, spare))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, joining pairs in the order in which they were learned."""
        _check_text(text)
        tokens: list[int] = []
        known = self._known
        for piece in pieces(text):
            ids = known.get(piece)
            if ids is None:
                ids = self._encode_piece(piece)
                if len(known) < MOST_CACHED_PIECES:
                    known[piece] = ids
            tokens += ids
        return tokens

    def _encode_piece(self, piece: str) -> list[int]:
        parts, ranks = list(_as_bytes(piece) if self.byte_level else piece), self._ranks
        worst = len(ranks)
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: ranks.get(pair, worst))
            if best not in ranks:
                break
            parts = _joined(parts, best)
        return [self.token_to_id.get(part, 0) for part in parts]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of ids, `UNKNOWN` for ids that there are not; bytes that are no UTF-8 become U+FFFD."""
        known = self.id_to_token
        if not self.byte_level:
            return "".join([known.get(int(token), UNKNOWN) for token in tokens])
        entries = [known.get(int(token), UNKNOWN) for token in tokens]
        return b"".join([entry.encode("latin-1") for entry in entries]).decode("utf-8", errors="replace")

    def to_json(self) -> str:
        """Return the vocabulary as JSON, the same text for the same vocabulary."""
        characters = [] if self.byte_level else [token for token in self.vocab[1:] if len(token) == 1]
        facts = {"format": 1, "type": "bpe", "vocab_size": self.vocab_size, "byte_level": self.byte_level}
        return json.dumps({**facts, "characters": characters, "merges": self.merges}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the tokenizer that `to_json` described; raises ValueError for anything else."""
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"A tokenizer is stored as JSON, but this is none: {error}") from error
        if problem := _why_no_tokenizer(facts):
            raise ValueError(f"Not a tokenizer as to_json() writes it: {problem}.")
        tokenizer = cls(facts["vocab_size"], byte_level=facts["byte_level"])
        tokenizer._set_vocab(facts["characters"], [(left, right) for left, right in facts["merges"]])
        return tokenizer


class _Merger:
    """The distinct pieces of a corpus, cut into the tokens so far, and how often each pair of neighbours occurs.

    Joining a pair touches only the pieces that have it, so the work shrinks as pairs get rarer. The heap keeps outdated
    entries; they are recognized by their count when they come up.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.pieces = [list(piece) for piece in counts]
        self.weights = list(counts.values())
        self.pairs: dict[Pair, int] = defaultdict(int)
        self.places: dict[Pair, set[int]] = defaultdict(set)
        for i, (parts, weight) in enumerate(zip(self.pieces, self.weights, strict=True)):
            for pair in pairwise(parts):
                self.pairs[pair] += weight
                self.places[pair].add(i)
        self.heap = [(-count, pair) for pair, count in self.pairs.items()]
        heapq.heapify(self.heap)

    def most_frequent(self) -> Pair | None:
        """Return the pair to join next: the most frequent, the first of equals; None if none occurs twice."""
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            current = self.pairs.get(pair, 0)
            if current == -count:
                return pair if current >= LEAST_COUNT else None
            if current:
                heapq.heappush(self.heap, (-current, pair))
        return None

    def join(self, pair: Pair) -> None:
        """Replace the pair by its union wherever it occurs."""
        made: set[Pair] = set()
        for i in self.places.pop(pair):
            made.update(new := self._join_in(i, pair))
            for each in new:
                self.places[each].add(i)
        del self.pairs[pair]
        # What became rarer is put right when it comes up; what became more frequent must be entered now.
        for each in made:
            if self.pairs[each]:
                heapq.heappush(self.heap, (-self.pairs[each], each))

    def _join_in(self, piece: int, pair: Pair) -> list[Pair]:
        """Join the pair in one piece, where only the pairs with its neighbours change; return the new ones."""
        before, weight, pairs = self.pieces[piece], self.weights[piece], self.pairs
        (left, right), union = pair, "".join(pair)
        after: list[str] = []
        made: list[Pair] = []
        start, last = 0, len(before) - 1
        for i in _places(before, left, last):
            if i < start or before[i + 1] != right:
                continue
            after += before[start:i]
            if after:
                pairs[after[-1], left] -= weight
                made.append((after[-1], union))
            after.append(union)
            start = i + 2
            if start <= last:  # if this is joined next, the pair is taken back then
                pairs[right, before[start]] -= weight
                made.append((union, before[start]))
        self.pieces[piece] = after + before[start:]
        for new in made:
            pairs[new] += weight
        return made


def _learned_merges(counts: Mapping[str, int], most: int) -> list[Pair]:
    """Return the pairs in the order in which they are to be joined, until they give `most` different entries."""
    merger, merges, entries = _Merger(counts), list[Pair](), set[str]()
    while len(entries) < most and (pair := merger.most_frequent()) is not None:
        merger.join(pair)
        merges.append(pair)
        entries.add("".join(pair))  # "a" + "bc" and "ab" + "c" are two merges, but one entry
    return merges


def _joined(parts: list[str], pair: Pair) -> list[str]:
    """Replace each occurrence of two neighbours, from the left, by their union."""
    result: list[str] = []
    start = 0
    for i in _places(parts, pair[0], len(parts) - 1):
        if i >= start and parts[i + 1] == pair[1]:
            result += [*parts[start:i], "".join(pair)]
            start = i + 2
    return result + parts[start:]


def _places(parts: list[str], part: str, stop: int) -> Iterator[int]:
    """Yield where `part` is among the first `stop` parts."""
    start = 0
    while True:
        try:
            start = parts.index(part, start, stop) + 1
        except ValueError:
            return
        yield start - 1


def _texts(what: str, corpus: Any) -> list[str]:
    texts = [corpus] if isinstance(corpus, str) else list(corpus)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{what} needs a list of texts, but one of them is a {type(text).__name__}: {text!r:.80}.")
    return texts


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise TypeError(
            f"encode() takes a text, but got a {type(text).__name__}; tokenize_dataset takes a list of them."
        )


def _checked_size(vocab_size: int) -> int:
    if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < 1:
        raise ValueError(f"vocab_size must be a whole number from 1 on, but is {vocab_size!r}.")
    return vocab_size


def _as_bytes(text: str) -> str:
    """Return the bytes of the text in UTF-8, each as the character of that number."""
    return text.encode("utf-8", errors="surrogatepass").decode("latin-1")


def _why_no_tokenizer(facts: Any) -> str:
    """Return what is wrong with the parsed form of a tokenizer, or an empty text."""
    names = {"format", "type", "vocab_size", "byte_level", "characters", "merges"}
    if not isinstance(facts, dict) or facts.keys() != names:
        return f"expected an object with {', '.join(sorted(names))}"
    if (facts["format"], facts["type"]) != (1, "bpe"):
        return f"found format {facts['format']!r} of type {facts['type']!r}, expected 1 of 'bpe'"
    if type(facts["vocab_size"]) is not int or facts["vocab_size"] < 1 or type(facts["byte_level"]) is not bool:
        return "vocab_size must be a positive integer and byte_level true or false"
    characters, merges = facts["characters"], facts["merges"]
    if not isinstance(characters, list) or not all(isinstance(c, str) and len(c) == 1 for c in characters):
        return "characters must be a list of single characters"
    base = {chr(byte) for byte in range(256)} if facts["byte_level"] else set(characters)
    if (facts["byte_level"] and characters) or len(base) < len(characters):
        return "characters must be distinct, and none with byte_level"
    if not isinstance(merges, list):
        return "merges must be a list"
    for i, pair in enumerate(merges):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(p, str) and p in base for p in pair):
            return f"merge {i} is {pair!r:.80}, expected two entries of the vocabulary before it"
        base.add(union := "".join(pair))
        if len(union) > LONGEST_ENTRY:
            return f"merge {i} gives {len(union)} characters, expected at most {LONGEST_ENTRY}"
    if len(base) + 1 > facts["vocab_size"]:
        return f"{len(base) + 1} entries are more than vocab_size {facts['vocab_size']}"
    return ""


def _new_char(vocab_size: int) -> Tokenizer:
    return CharTokenizer()


STRATEGIES = {"bpe": BPETokenizer, "char": _new_char}


def create_tokenizer(strategy: str = "char", vocab_size: int = 1000, corpus: Sequence[str] | None = None) -> Tokenizer:
    """Return a tokenizer of kind "char" or "bpe", trained on `corpus` if one is given.

    `vocab_size` is for "bpe": a CharTokenizer has as many entries as there are characters. Raises ValueError for
    another strategy.
    """
    if strategy not in STRATEGIES:
        near = get_close_matches(str(strategy), STRATEGIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"The strategy must be one of {', '.join(STRATEGIES)}, but is {strategy!r}.{hint}")
    tokenizer = STRATEGIES[strategy](vocab_size)
    if corpus is not None and isinstance(tokenizer, CharTokenizer):
        tokenizer.build_vocab(corpus)
    elif corpus is not None and isinstance(tokenizer, BPETokenizer):
        tokenizer.train(corpus)
    return tokenizer


def tokenize_dataset(texts: Sequence[str], tokenizer: Tokenizer, max_length: int | None = None) -> list[list[int]]:
    """Return the ids of each text, cut to `max_length` where that is given."""
    if max_length is not None and max_length < 0:
        raise ValueError(f"max_length must not be negative, but is {max_length}.")
    return [tokenizer.encode(text)[:max_length] for text in _texts("tokenize_dataset", texts)]


def analyze_tokenization(texts: Sequence[str], tokenizer: Tokenizer) -> dict[str, float]:
    """Return vocab_size, avg_sequence_length, max_sequence_length, total_tokens, unique_tokens and compression_ratio.

    The last is characters per token. Raises ValueError without a text, or where no text has a character.
    """
    sequences = tokenize_dataset(texts, tokenizer)
    lengths = [len(sequence) for sequence in sequences]
    total = sum(lengths)
    if not total:
        raise ValueError("analyze_tokenization() needs at least one text with a character; otherwise there is no mean.")
    return {
        "vocab_size": tokenizer.vocab_size,
        "avg_sequence_length": total / len(lengths),
        "max_sequence_length": max(lengths),
        "total_tokens": total,
        "unique_tokens": len(set().union(*sequences)),
        "compression_ratio": sum(len(text) for text in _texts("analyze_tokenization", texts)) / total,
    }
