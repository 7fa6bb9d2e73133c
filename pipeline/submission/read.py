"""Read a submission that anybody may have written: bounded in size, depth and numbers, before anything looks at it.

Only JSON is checked here; whether it is a submission is `validate`'s question. Standard library only.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from pipeline.core.errors import SubmissionInvalid, UserError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "parse_submission", "read_bytes", "read_submission"]

MAX_BYTES = 16 * 2**20  # a submission with 500 points has about 1 MiB
MAX_DEPTH = 64
MAX_INTEGER_DIGITS = 18  # what fits a signed 64-bit integer everywhere
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # possessive, the end optional: linear in whatever it is given
_STEPS = {**dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}
_NO_BRACKETS = bytes(set(range(256)) - set(_STEPS))
# What could be too many digits for an integer, or too large a number, with every digit written as 0.
_ODD_NUMBERS = (b"0" * 19, b"e000", b"E000", b"e+000", b"E+000")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_submission(path: Path, most: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file of at most `most` bytes.

    Raises UserError if the file cannot be read, SubmissionInvalid if it does not hold one bounded JSON object.
    """
    data = read_bytes(path, most)
    try:
        return parse_submission(data, most)
    except SubmissionInvalid as error:
        raise SubmissionInvalid(f"{path}: {error.message}", code=error.code, hint=error.hint) from None


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return at most `most` + 1 bytes of a file, so that one more than allowed shows; raises UserError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise OSError(None, "it is a folder" if path.is_dir() else "it is not a regular file")
        with open(path, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def parse_submission(data: bytes, most: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object that at most `most` bytes hold.

    Raises SubmissionInvalid for what is too large or too deep, not UTF-8, not JSON or not an object, and for duplicate
    keys, NaN, infinities (1e999 among them), integers beyond 18 digits and unpaired surrogates.
    """
    if len(data) > most:
        _reject(f"is larger than {most // 2**20} MiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _reject(f"is not UTF-8 text (byte {error.start})")
    outside = _outside_strings(data)
    if (depth := _depth(outside)) > MAX_DEPTH:
        _reject(f"is nested {depth} deep, at most {MAX_DEPTH} is allowed")
    numbers: dict[str, Any] = {"parse_float": _float, "parse_int": _integer} if _has_odd_numbers(outside) else {}
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, **numbers)
    except json.JSONDecodeError as error:
        _reject(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})")
    if not isinstance(value, dict):
        _reject(f"holds {_kind(value)}, expected an object")
    if _SURROGATE_ESCAPE.search(data) and _holds_surrogate(value):  # unescaped, they are no UTF-8
        _reject("holds an unpaired surrogate, which is no character")
    return value


def _reject(problem: str) -> NoReturn:
    raise SubmissionInvalid(problem, code="E501")


def _outside_strings(data: bytes) -> bytes:
    """Return what is in no string: without escapes, every second quote ends one."""
    return _STRING.sub(b"", data) if b"\\" in data else b"".join(data.split(b'"')[::2])


def _has_odd_numbers(outside: bytes) -> bool:
    """Say whether there may be a number that is out of bounds; only then each has to be looked at."""
    digits = outside.translate(_DIGITS)
    return any(odd in digits for odd in _ODD_NUMBERS)


def _depth(outside: bytes) -> int:
    steps = map(_STEPS.__getitem__, outside.translate(None, _NO_BRACKETS))
    return max(itertools.accumulate(steps), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        _reject(f"has the key {twice[:80]!r} twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    _reject(f"holds {name}, which is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _reject(f"holds the number {text[:40]}, which is out of range")
    return value


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        _reject(f"holds an integer with {len(text.lstrip('-'))} digits, at most {MAX_INTEGER_DIGITS} are allowed")
    return int(text)


def _holds_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_holds_surrogate(key) or _holds_surrogate(item) for key, item in value.items())
    return isinstance(value, list) and any(_holds_surrogate(item) for item in value)


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    return names[type(value)]
