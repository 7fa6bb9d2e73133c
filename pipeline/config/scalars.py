"""What a plain YAML word means: the core schema of YAML 1.2.2 (section 10.3.2), not that of YAML 1.1.

`1e-3` is a number, `010` is ten, `no`, `on` and `12:30` are words; only true and false are booleans. Numbers that JSON
cannot hold (infinities, NaN, integers beyond 2^53) are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from pipeline.core.experiment import JSON

__all__ = ["MAX_INT", "ScalarError", "refused_tag", "resolve_plain", "resolve_tagged"]

MAX_INT = 2**53  # every JSON reader holds integers up to here exactly (RFC 8259, section 6)

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE = re.compile(r"(?:true|True|TRUE)")
_FALSE = re.compile(r"(?:false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")


class ScalarError(ValueError):
    """A scalar that cannot be a value of an experiment file; the message says why."""


def resolve_plain(text: str) -> JSON:
    """Return the value of an unquoted scalar. Raises ScalarError for numbers JSON cannot hold."""
    # Most scalars are words; their first letter rules out everything below.
    if text and text[0] not in "-+.0123456789~nNtTfF":
        return text
    for pattern, convert in _CORE_SCHEMA:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def resolve_tagged(text: str, tag: str) -> JSON:
    """Return the value of a scalar under an explicit core tag such as `!!str`. Raises ScalarError."""
    if tag in ("!", "tag:yaml.org,2002:str"):
        return text
    expected = _TAGS.get(tag)
    if expected is None:
        raise ScalarError(refused_tag(tag))
    value = resolve_plain(text)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not expected:
        raise ScalarError(f"{text!r} is not what its tag {_short(tag)} says")
    return value


def refused_tag(tag: str) -> str:
    """Return the message about a tag that is no plain value's."""
    return f"the tag {_short(tag)} is not allowed: an experiment file holds plain values only"


def _short(tag: str) -> str:
    """Return a tag as people write it: `!!str`."""
    return tag.replace("tag:yaml.org,2002:", "!!")


def _integer(text: str, base: int = 10) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 24 or abs(value := int(text, base)) > MAX_INT:
        raise ScalarError(f"whole numbers lie between -{MAX_INT} and {MAX_INT} here; {_clip(text)} does not")
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ScalarError(f"{_clip(text)} is too large for a number")
    return value


def _not_finite(text: str) -> float:
    raise ScalarError(f"numbers are finite here; {text} is not")


def _clip(text: str) -> str:
    return text if len(text) <= 32 else f"{text[:29]}..."


_CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], JSON]], ...] = (
    (_INT, _integer),
    (_FLOAT, _float),
    (_NULL, lambda text: None),
    (_TRUE, lambda text: True),
    (_FALSE, lambda text: False),
    (_HEX, lambda text: _integer(text, 16)),
    (_OCTAL, lambda text: _integer(text[2:], 8)),
    (_NOT_FINITE, _not_finite),
)

_TAGS: dict[str, type] = {
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:null": type(None),
}
