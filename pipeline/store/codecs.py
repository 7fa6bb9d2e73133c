"""How a stage's outputs become bytes and come back. Equal values give equal bytes; nothing here executes code.

Imported only where a node runs or a result is read as arrays: it needs numpy, safetensors and tinytorch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy

from tinytorch import serialization

__all__ = ["CODECS", "Codec"]


@dataclass(frozen=True)
class Codec:
    """An encoding: `encode` raises TypeError or ValueError for a value it cannot hold."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def encode_json(value: Any) -> bytes:
    """Return compact JSON with sorted keys; raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _encode_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    return safetensors.numpy.save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})


def _decode_arrays(data: bytes) -> dict[str, np.ndarray]:
    return dict(safetensors.numpy.load(data))


CODECS: dict[str, Codec] = {
    "arrays": Codec(_encode_arrays, _decode_arrays),
    "json": Codec(encode_json, json.loads),
    "model": Codec(serialization.dumps, serialization.loads),
    "text": Codec(str.encode, bytes.decode),
}
