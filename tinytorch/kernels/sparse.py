"""Compact encodings of which positions of a matrix are kept, for storage. Nothing here multiplies.

`bitmask`: one bit a position in row-major order (most significant bit first).
`csr`: compressed sparse rows, smaller below a density of about 1/16 (2 bytes an index against 1/8 a position).
`gaps`: how far it is from one kept position to the next, a byte each: smaller below a density of about 1/8, and until
CSR catches up at a few in a thousand.
`holes`: the same from one position that is not kept to the next: smaller while fewer than 1/8 are missing, and with 4
bytes a value smaller than leaving zeros in from the first per cent.
The kept values lie beside it in row-major order. What is encoded is a mask, so that a kept value may be zero. A decoder
checks what it reads before it allocates the mask, and raises ValueError.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_EXPANSION",
    "count_steps",
    "decode_bitmask",
    "decode_csr",
    "decode_gaps",
    "decode_holes",
    "encode_bitmask",
    "encode_csr",
    "encode_gaps",
    "encode_holes",
    "index_type",
]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

MAX_EXPANSION = 1024  # a decoded matrix has at most this many values for each byte read: a small file stays small
_FAR = 255  # a step over as many positions, which ends at none that is meant


def encode_bitmask(mask: Mask) -> tuple[NDArray[np.uint8]]:
    """Encode a mask (R, C) as bits (ceil(R·C / 8),)."""
    return (np.packbits(mask.reshape(-1)),)


def decode_bitmask(bits: NDArray[np.uint8], kept: int, shape: tuple[int, int], unit: int = 1) -> Mask:
    """Undo `encode_bitmask` for a mask that keeps `kept` positions; `unit` values lie at each."""
    positions = shape[0] * shape[1]
    if bits.shape != ((positions + 7) // 8,):
        raise ValueError(
            f"a mask of {shape[0]} x {shape[1]} positions takes {(positions + 7) // 8} bytes, not {bits.size}"
        )
    flat = np.unpackbits(bits)
    if flat[positions:].any():
        raise ValueError("a mask has bits set beyond its last position")
    if (found := int(np.count_nonzero(flat))) != kept:
        raise ValueError(f"a mask keeps {found} positions, but values for {kept} are stored")
    return flat[:positions].astype(np.bool_).reshape(shape)


def index_type(columns: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest type of a column index that CSR uses: uint16 up to 65,536 columns, else uint32."""
    return np.uint16 if columns <= 2**16 else np.uint32


def encode_csr(mask: Mask) -> tuple[NDArray[np.uint32], Array]:
    """Encode a mask (R, C) as row ends (R,) and column indices (n,)."""
    rows, columns = np.nonzero(mask)
    ends = np.cumsum(np.bincount(rows, minlength=len(mask))).astype(np.uint32)
    return ends, columns.astype(index_type(mask.shape[1]))


def decode_csr(ends: NDArray[np.uint32], columns: Array, kept: int, shape: tuple[int, int], unit: int = 1) -> Mask:
    """Undo `encode_csr` for a mask that keeps `kept` positions; `unit` values lie at each."""
    stored = ends.nbytes + columns.nbytes + kept * unit
    if shape[0] * shape[1] * unit > MAX_EXPANSION * stored:
        raise ValueError(f"{shape[0]} x {shape[1]} positions from {stored} bytes: more than {MAX_EXPANSION} a byte")
    if ends.shape != (shape[0],) or columns.dtype != index_type(shape[1]) or columns.shape != (kept,):
        raise ValueError(f"row ends {ends.shape}, columns {columns.shape} and {kept} values do not fit {shape}")
    counts: Array = np.diff(ends.astype(np.int64), prepend=0)
    if (counts < 0).any() or counts.sum() != kept or (kept and int(columns.max()) >= shape[1]):
        raise ValueError(f"row ends or column indices reach outside {shape[0]} x {shape[1]}")
    rows = np.repeat(np.arange(shape[0]), counts)
    position = rows * shape[1] + columns.astype(np.int64)
    if (np.diff(position) <= 0).any():
        raise ValueError("column indices are not in increasing order")
    mask = np.zeros(shape, np.bool_)
    mask[rows, columns] = True
    return mask


def encode_gaps(mask: Mask) -> tuple[NDArray[np.uint8]]:
    """Encode a mask (R, C) as bytes: below 255, so many positions and then a kept one; 255, so many and none yet."""
    return (_steps(np.flatnonzero(mask)),)


def encode_holes(mask: Mask) -> tuple[NDArray[np.uint8]]:
    """Encode a mask (R, C) as bytes: below 255, so many positions and then one that is not kept; 255, and none yet."""
    return (_steps(np.flatnonzero(~mask)),)


def _steps(positions: Array) -> NDArray[np.uint8]:
    between = np.diff(positions, prepend=-1) - 1
    encoded = np.full(int((between // _FAR + 1).sum()), _FAR, np.uint8)
    encoded[np.cumsum(between // _FAR + 1) - 1] = between % _FAR
    return encoded


def count_steps(encoded: NDArray[np.uint8]) -> int:
    """Return how many positions gaps or holes name."""
    return int(np.count_nonzero(encoded != _FAR))


def decode_gaps(encoded: NDArray[np.uint8], kept: int, shape: tuple[int, int], unit: int = 1) -> Mask:
    """Undo `encode_gaps` for a mask that keeps `kept` positions; `unit` values lie at each."""
    stored, named = encoded.nbytes + kept * unit, count_steps(encoded)
    if shape[0] * shape[1] * unit > MAX_EXPANSION * (stored + 1):  # of no byte at all, too, a little may come
        raise ValueError(f"{shape[0]} x {shape[1]} positions from {stored} bytes: more than {MAX_EXPANSION} a byte")
    if named != kept:
        raise ValueError(f"{named} positions are kept, but values for {kept} are stored")
    mask = np.zeros(shape, np.bool_)
    mask.reshape(-1)[_positions(encoded, shape)] = True
    return mask


def decode_holes(encoded: NDArray[np.uint8], kept: int, shape: tuple[int, int], unit: int = 1) -> Mask:
    """Undo `encode_holes` for a mask that keeps `kept` positions; `unit` values lie at each."""
    holes = count_steps(encoded)
    if holes + kept != shape[0] * shape[1]:
        raise ValueError(f"{shape[0]} x {shape[1]} positions are not {holes} holes and values for {kept}")
    mask = np.ones(shape, np.bool_)
    mask.reshape(-1)[_positions(encoded, shape)] = False
    return mask


def _positions(encoded: NDArray[np.uint8], shape: tuple[int, int]) -> Array:
    """Return the positions that steps end at; raises ValueError for one outside `shape` and for a step to nowhere."""
    is_end = encoded != _FAR
    if len(encoded) and not is_end[-1]:
        raise ValueError("a distance ends at no position")
    ends: Array = np.cumsum(encoded.astype(np.int64) + is_end)
    if len(ends) and ends[-1] > shape[0] * shape[1]:
        raise ValueError(f"a position lies outside {shape[0]} x {shape[1]}")
    named: Array = ends[is_end] - 1
    return named
