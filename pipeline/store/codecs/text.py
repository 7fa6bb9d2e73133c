"""The codec of texts: UTF-8."""

from __future__ import annotations

__all__ = ["decode", "encode"]


def encode(value: str) -> bytes:
    """Return the text as UTF-8; raises UnicodeEncodeError for half a surrogate pair."""
    return value.encode()


def decode(data: bytes) -> str:
    """Return the text; raises UnicodeDecodeError for bytes that are not UTF-8."""
    return data.decode()
