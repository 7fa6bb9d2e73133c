"""One digest for a number of named arrays: the identity of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["arrays_digest"]


def arrays_digest(heading: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the sha256 (hex) of a heading and of names, types, shapes and little-endian bytes of all arrays."""
    state = hashlib.sha256(f"{heading}\n".encode())
    for name, array in sorted(arrays.items()):
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        state.update(f"{name} {little.dtype.str} {little.shape}\n".encode())
        state.update(little.data)
    return state.hexdigest()
