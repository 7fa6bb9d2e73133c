"""Compact encodings of a matrix with many zeros, for storage. Nothing here multiplies: NumPy has no sparse product.

`bitmask`: one bit a position in row-major order (most significant bit first) and the kept values in that order.
`csr`: compressed sparse rows, smaller below a density of about 1/16 (2 bytes an index against 1/8 a position).
The kept positions are given as a mask, so that a kept value may be zero. A decoder checks what it reads before it
allocates the matrix, and raises ValueError.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_EXPANSION", "decode_bitmask", "decode_csr", "encode_bitmask", "encode_csr", "index_type"]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

MAX_EXPANSION = 1024  # a decoded matrix has at most this many positions for each byte read: a small file stays small


def encode_bitmask(values: Array, mask: Mask) -> tuple[NDArray[np.uint8], Array]:
    """Encode values (R, C) where mask (R, C) is true: bits (ceil(R·C / 8),) and the kept values (n,)."""
    return np.packbits(mask.reshape(-1)), values[mask]


def decode_bitmask(bits: NDArray[np.uint8], kept: Array, shape: tuple[int, int]) -> tuple[Array, Mask]:
    """Undo `encode_bitmask`: the matrix, zero where nothing was kept, and the mask."""
    positions = shape[0] * shape[1]
    if bits.shape != ((positions + 7) // 8,):
        raise ValueError(
            f"a mask of {shape[0]} x {shape[1]} positions takes {(positions + 7) // 8} bytes, not {bits.size}"
        )
    flat = np.unpackbits(bits)
    if flat[positions:].any():
        raise ValueError("a mask has bits set beyond its last position")
    mask = flat[:positions].astype(np.bool_).reshape(shape)
    found = int(np.count_nonzero(mask))
    if kept.shape != (found,):
        raise ValueError(f"a mask keeps {found} values, but {kept.size} are stored")
    matrix = np.zeros(shape, kept.dtype)
    matrix[mask] = kept
    return matrix, mask


def index_type(columns: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest type of a column index that CSR uses: uint16 up to 65,536 columns, else uint32."""
    return np.uint16 if columns <= 2**16 else np.uint32


def encode_csr(values: Array, mask: Mask) -> tuple[NDArray[np.uint32], Array, Array]:
    """Encode values (R, C) where mask is true: row ends (R,), column indices (n,) and the kept values (n,)."""
    rows, columns = np.nonzero(mask)
    ends = np.cumsum(np.bincount(rows, minlength=len(mask))).astype(np.uint32)
    return ends, columns.astype(index_type(mask.shape[1])), values[mask]


def decode_csr(ends: NDArray[np.uint32], columns: Array, kept: Array, shape: tuple[int, int]) -> tuple[Array, Mask]:
    """Undo `encode_csr`: the matrix, zero where nothing was kept, and the mask."""
    stored = ends.nbytes + columns.nbytes + kept.nbytes
    if shape[0] * shape[1] > MAX_EXPANSION * stored:
        raise ValueError(f"{shape[0]} x {shape[1]} positions from {stored} bytes: more than {MAX_EXPANSION} a byte")
    if ends.shape != (shape[0],) or columns.dtype != index_type(shape[1]) or columns.shape != kept.shape:
        raise ValueError(f"row ends {ends.shape}, columns {columns.shape} and values {kept.shape} do not fit {shape}")
    counts: Array = np.diff(ends.astype(np.int64), prepend=0)
    if (counts < 0).any() or counts.sum() != len(kept) or (len(kept) and int(columns.max()) >= shape[1]):
        raise ValueError(f"row ends or column indices reach outside {shape[0]} x {shape[1]}")
    rows = np.repeat(np.arange(shape[0]), counts)
    position = rows * shape[1] + columns.astype(np.int64)
    if (np.diff(position) <= 0).any():
        raise ValueError("column indices are not in increasing order")
    matrix = np.zeros(shape, kept.dtype)
    matrix[rows, columns] = kept
    mask = np.zeros(shape, np.bool_)
    mask[rows, columns] = True
    return matrix, mask
