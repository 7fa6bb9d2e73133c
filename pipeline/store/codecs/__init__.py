"""How a stage's outputs become bytes and come back. Equal values give equal bytes; nothing here executes code.

Each codec is a module with `encode` and `decode`, imported when it is first needed: most of them need numpy.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

__all__ = ["CODECS", "Codec", "codec_named"]

CODECS = {
    "arrays": "pipeline.store.codecs.arrays",
    "json": "pipeline.store.codecs.plain_json",
    "model": "pipeline.store.codecs.model",
    "text": "pipeline.store.codecs.text",
}


class Codec(Protocol):
    """An encoding."""

    def encode(self, value: Any) -> bytes:
        """Return the value as bytes; raises TypeError or ValueError for a value that this codec cannot hold."""

    def decode(self, data: bytes) -> Any:
        """Return the value that was encoded; raises what the format's reader raises for other bytes."""


def codec_named(name: str) -> Codec:
    """Import and return a codec; raises KeyError for a name that is not in the table."""
    return cast(Codec, importlib.import_module(CODECS[name]))
