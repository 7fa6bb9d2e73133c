"""The codec of named arrays: a safetensors file, its tensors ordered by name."""

from __future__ import annotations

import numpy as np
import safetensors.numpy

__all__ = ["decode", "encode"]


def encode(value: dict[str, np.ndarray]) -> bytes:
    """Return the arrays as a safetensors file."""
    return safetensors.numpy.save({name: np.ascontiguousarray(value[name]) for name in sorted(value)})


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays; raises SafetensorError for bytes that are no such file."""
    return dict(safetensors.numpy.load(data))
