"""Changes of valid files: of their bytes, of their lines, and of the values a JSON or YAML file holds."""

from __future__ import annotations

import copy
import re
import string
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeAlias

__all__ = ["SIZES", "change_bytes", "change_lines", "change_numbers", "change_tree", "times"]

Path: TypeAlias = "tuple[str | int, ...]"

SIZES = (0, 1, 2, 7, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 2**64 - 1)
NUMBERS = (*SIZES, -1, 2**53 + 1, 10**30, -(2**31), -(2**63), 0.5, -0.0, 1e-320, 1e308, 0.1 + 0.2, 1.0, 100.0)
TEXTS = (
    "",
    " ",
    "\0",
    "a" * 5000,
    "../../etc/passwd",
    "/",
    "~",
    "\u202e\u2066x",
    "\x1b[2J",
    "日本語",
    "é" * 60,
    "${x}",
    "${",
    "a.b[0]",
    "*",
    "[",
    "fc*",
    "null",
    "1e999",
    "2026-11-22T00:00:00Z",
    "9999-99-99T99:99:99Z",
    "sha256:" + "0" * 64,
    "%s%n",
    "{{7*7}}",
    "<script>",
)
NUMBER_WORDS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "0x10", "-0", "1e-999", "9" * 400, "9" * 5000)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def times(rng: Random, most: int = 6) -> int:
    """Return how many changes to make: mostly one or two, because one change is what deep code sees."""
    return min(most, 1 + int(rng.expovariate(0.9)))


def change_bytes(data: bytes, rng: Random) -> bytes:
    """Return the bytes after a few changes: flipped, overwritten, cut, doubled, inserted, filled with extremes."""
    changed = bytearray(data)
    for _ in range(times(rng)):
        start = rng.randrange(len(changed) + 1)
        length = min(len(changed) - start, rng.choice((1, 1, 2, 4, 8, rng.randrange(64) + 1, len(changed))))
        _BYTE_CHANGES[rng.randrange(len(_BYTE_CHANGES))](changed, start, length, rng)
    return bytes(changed)


def _flip(data: bytearray, start: int, length: int, rng: Random) -> None:
    if length:
        data[start] ^= 1 << rng.randrange(8)


def _fill(data: bytearray, start: int, length: int, rng: Random) -> None:
    data[start : start + length] = bytes([rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))]) * length


def _noise(data: bytearray, start: int, length: int, rng: Random) -> None:
    data[start : start + length] = rng.randbytes(length)


def _cut(data: bytearray, start: int, length: int, rng: Random) -> None:
    del data[start : start + length]


def _truncate(data: bytearray, start: int, length: int, rng: Random) -> None:
    del data[start:]


def _double(data: bytearray, start: int, length: int, rng: Random) -> None:
    data[start:start] = data[start : start + length]


def _insert(data: bytearray, start: int, length: int, rng: Random) -> None:
    data[start:start] = rng.randbytes(rng.randrange(16) + 1)


def _size(data: bytearray, start: int, length: int, rng: Random) -> None:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(SIZES) % (1 << 8 * width)
    data[start : start + width] = value.to_bytes(width, rng.choice(("little", "big")))


_BYTE_CHANGES = (_flip, _flip, _fill, _noise, _cut, _truncate, _double, _insert, _size, _size)


def change_lines(text: str, rng: Random, snippets: Sequence[str]) -> str:
    """Return the text after a few changes of lines, words or indentation; `snippets` are inserted now and then."""
    lines = text.split("\n")
    for _ in range(times(rng)):
        at = rng.randrange(len(lines))
        _LINE_CHANGES[rng.randrange(len(_LINE_CHANGES))](lines, at, rng, snippets)
        lines = lines or [""]
    return rng.choice(("\n", "\n", "\n", "\n", "\r\n", "\r", "\u2028")).join(lines)


def _line_gone(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    del lines[at]


def _line_twice(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    lines.insert(rng.randrange(len(lines) + 1), lines[at])


def _line_indented(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    lines[at] = rng.choice(("  ", " ", "\t", "- ", "? ", ": ", "# ", "    ")) + lines[at]


def _line_outdented(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    lines[at] = lines[at][rng.choice((1, 2, 4)) :]


def _line_cut(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]


def _snippet(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    lines.insert(at, rng.choice(snippets))


def _snippet_within(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    place = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:place] + rng.choice(snippets) + lines[at][place:]


def _character(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    place = rng.randrange(len(lines[at]) + 1)
    found = rng.choice(string.punctuation + "\t\x85\u00a0é日\ufeff")
    lines[at] = lines[at][:place] + found + lines[at][place + rng.randrange(2) :]


def _word(lines: list[str], at: int, rng: Random, snippets: Sequence[str]) -> None:
    words = re.findall(r"\w+", lines[at])
    if words:
        lines[at] = lines[at].replace(rng.choice(words), str(rng.choice((*NUMBERS, *TEXTS[:12], *NUMBER_WORDS))), 1)


_LINE_CHANGES: tuple[Callable[[list[str], int, Random, Sequence[str]], None], ...] = (
    _line_gone,
    _line_twice,
    _line_indented,
    _line_outdented,
    _line_cut,
    _snippet,
    _snippet_within,
    _character,
    _character,
    _word,
    _word,
)


def change_numbers(text: str, rng: Random) -> str:
    """Return the text with one number written in a way that a JSON reader may take, refuse or choke on."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    match = rng.choice(found)
    return text[: match.start()] + rng.choice(NUMBER_WORDS) + text[match.end() :]


def change_tree(tree: Any, rng: Random, keys: Sequence[str]) -> Any:
    """Return a copy of a JSON value after a few changes of what is in it; `keys` are those its schema knows."""
    tree = copy.deepcopy(tree)
    for _ in range(times(rng)):
        paths = list(_paths(tree))
        path = rng.choice(paths)
        if not path:
            tree = _other(tree, tree, rng) if rng.random() < 0.05 else tree
            continue
        parent = tree
        for part in path[:-1]:
            parent = parent[part]
        _TREE_CHANGES[rng.randrange(len(_TREE_CHANGES))](parent, path[-1], tree, rng, keys)
    return tree


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list) and len(value) < 200:
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def _other(value: Any, tree: Any, rng: Random) -> Any:
    """Return something else: of the same type or another, an extreme, or what is elsewhere in the tree."""
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((value + 1, value - 1, -value, value * 2, value / 3, float(value), str(value)))
    elsewhere = tree
    for part in rng.choice(list(_paths(tree))):
        elsewhere = elsewhere[part]
    kinds = (
        rng.choice(NUMBERS),
        rng.choice(TEXTS),
        rng.choice((None, True, False)),
        [],
        {},
        [value],
        {"a": value},
        [value] * (rng.choice((2, 3)) if isinstance(value, dict | list) else 300),
        copy.deepcopy(elsewhere),
    )
    return rng.choice(kinds)


def _replace(parent: Any, key: Any, tree: Any, rng: Random, keys: Sequence[str]) -> None:
    parent[key] = _other(parent[key], tree, rng)


def _remove(parent: Any, key: Any, tree: Any, rng: Random, keys: Sequence[str]) -> None:
    del parent[key]


def _rename(parent: Any, key: Any, tree: Any, rng: Random, keys: Sequence[str]) -> None:
    name = rng.choice((rng.choice(keys), rng.choice(TEXTS), f"{key}s"))
    if isinstance(parent, dict):
        parent[name] = parent.pop(key)


def _add(parent: Any, key: Any, tree: Any, rng: Random, keys: Sequence[str]) -> None:
    value = _other(parent[key], tree, rng)
    if isinstance(parent, dict):
        parent[rng.choice(keys)] = value
    else:
        parent.insert(key, value)


def _swap(parent: Any, key: Any, tree: Any, rng: Random, keys: Sequence[str]) -> None:
    others = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
    other = rng.choice(others)
    parent[key], parent[other] = parent[other], parent[key]


def _nest(parent: Any, key: Any, tree: Any, rng: Random, keys: Sequence[str]) -> None:
    for _ in range(rng.choice((1, 3, 30, 70, 120))):
        parent[key] = rng.choice(([parent[key]], {rng.choice(keys): parent[key]}))


_TREE_CHANGES = (_replace, _replace, _replace, _replace, _remove, _rename, _add, _add, _swap, _nest)
