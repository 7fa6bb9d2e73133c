"""The codec of JSON values: compact, with sorted keys."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["decode", "encode"]


def encode(value: Any) -> bytes:
    """Return the value as JSON; raises TypeError for what JSON cannot hold, ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes) -> Any:
    """Return the value; raises ValueError for bytes that are no JSON."""
    return json.loads(data)
