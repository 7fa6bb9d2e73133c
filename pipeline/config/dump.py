"""JSON values as YAML text that a person would write: flow style where it fits a line, quotes only where needed.

Reading the text again gives equal values, in this package's reader and in those of YAML 1.1.
"""

from __future__ import annotations

import json
import re

from pipeline.core.experiment import JSON

__all__ = ["dump"]

_WIDTH = 100
# Words that need no quotes: nothing that any YAML version reads as a number, a date, a boolean or a null.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_SPECIAL = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def dump(value: JSON, *, flow: bool = False) -> str:
    """Return the YAML of a value: on lines of its own with a closing newline, or as `flow` on one line without."""
    if flow:
        return _flow(value)
    if not isinstance(value, dict | list) or not value:
        return _flow(value) + "\n"
    return "\n".join(_block(value, 0)) + "\n"


def _block(value: JSON, indent: int) -> list[str]:
    lines: list[str] = []
    pad = " " * indent
    pairs = [(f"{_scalar(key)}:", item) for key, item in value.items()] if isinstance(value, dict) else None
    for head, item in pairs if pairs is not None else [("-", item) for item in value]:
        flow = _flow(item)
        is_long = len(pad) + len(head) + 1 + len(flow) > _WIDTH
        holds_steps = isinstance(item, list) and any(isinstance(entry, dict) for entry in item)
        if head == "-" and isinstance(item, dict) and len(item) == 1:
            lines += _item(item, indent)
        elif not isinstance(item, dict | list) or not item or not (is_long or holds_steps or _nests(item)):
            lines.append(f"{pad}{head} {flow}")
        elif head == "-":
            lines += _item(item, indent)
        else:
            lines += [f"{pad}{head}", *_block(item, indent + 2)]
    return lines


def _item(value: JSON, indent: int) -> list[str]:
    first, *rest = _block(value, indent + 2)
    return [f"{' ' * indent}- {first[indent + 2 :]}", *rest]


def _nests(value: JSON) -> bool:
    """Return whether a mapping holds mappings of mappings, which are hard to read on one line."""
    return isinstance(value, dict) and any(
        isinstance(item, dict) and any(isinstance(inner, dict) for inner in item.values()) for item in value.values()
    )


def _flow(value: JSON) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: JSON) -> str:
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _SPECIAL
        return value if is_plain else _quoted(value)
    if isinstance(value, float):
        text = repr(value)
        # YAML 1.1 wants a point in a number with an exponent.
        return re.sub(r"^(-?\d+)e", r"\1.0e", text)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Return text in double quotes; JSON's escapes are YAML's, and what YAML calls unprintable is escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", quoted)
