"""How a weight matrix of a compressed layer lies in a file: dense or with its zeros left out, 32, 8 or 4 bits a value.

What is left out are single values, or whole blocks of them (tinytorch.runtime.block_sparse), then one position of the
index is a block. Only the arrays; which bytes surround them in a file is the business of tinytorch.serialization.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.errors import ModelFileError
from tinytorch.kernels.quantized import pack_int4, unpack_int4
from tinytorch.kernels.sparse import (
    MAX_EXPANSION,
    count_steps,
    decode_bitmask,
    decode_csr,
    decode_gaps,
    decode_holes,
    encode_bitmask,
    encode_csr,
    encode_gaps,
    encode_holes,
    index_type,
)

__all__ = ["ARRAYS", "arrays_of", "count_kept", "decode_index", "encode_index", "restore", "smallest", "store"]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

# storage -> the arrays it consists of, the last of them holding the values
ARRAYS: dict[str, tuple[str, ...]] = {
    "dense": ("weight",),
    "bitmask": ("weight_mask", "weight_values"),
    "csr": ("weight_ends", "weight_columns", "weight_values"),
    "gaps": ("weight_gaps", "weight_values"),
    "holes": ("weight_holes", "weight_values"),
}
_ENCODE: dict[str, Callable[[Mask], tuple[Array, ...]]] = {
    "bitmask": encode_bitmask,
    "csr": encode_csr,
    "gaps": encode_gaps,
    "holes": encode_holes,
}
_DECODE: dict[str, Callable[..., Mask]] = {
    "bitmask": decode_bitmask,
    "csr": decode_csr,
    "gaps": decode_gaps,
    "holes": decode_holes,
}
_INDEX_TYPES = {
    "weight_mask": ("uint8",),
    "weight_ends": ("uint32",),
    "weight_columns": ("uint16", "uint32"),
    "weight_gaps": ("uint8",),
    "weight_holes": ("uint8",),
}
_TYPES = {32: np.dtype(np.float32), 8: np.dtype(np.int8), 4: np.dtype(np.uint8)}  # 4: two values a byte
_ENTRY_BYTES = 96  # about what one more array costs in a safetensors header: name, type, shape, offsets


def store(values: Array, mask: Mask, storage: str, bits: int) -> dict[str, Array]:
    """Encode a matrix (R, C), float32 for 32 bits and int8 for 8 or 4; `dense` keeps no mask."""
    if storage == "dense":
        return {"weight": pack_int4(values) if bits == 4 else values}
    kept = values[mask]
    return {**encode_index(mask, storage), "weight_values": pack_int4(kept) if bits == 4 else kept}


def encode_index(mask: Mask, storage: str) -> dict[str, Array]:
    """Return the arrays that say which positions of a mask (R, C) are kept, in a storage other than `dense`."""
    return dict(zip(ARRAYS[storage], _ENCODE[storage](mask), strict=False))


def decode_index(index: Sequence[Array], storage: str, kept: int, shape: tuple[int, int], unit: int = 1) -> Mask:
    """Undo `encode_index` for a mask that keeps `kept` positions, with `unit` values at each; raises ValueError."""
    return _DECODE[storage](*index, kept, shape, unit)


def count_kept(index: Sequence[Array], storage: str, shape: tuple[int, int]) -> int:
    """Return how many positions of (R, C) an index claims to keep, without allocating a mask."""
    if storage == "bitmask":
        return int(np.unpackbits(index[0]).sum(dtype=np.int64))
    if storage == "csr":
        return len(index[1])
    named = count_steps(index[0])
    return named if storage == "gaps" else shape[0] * shape[1] - named


def restore(state: Mapping[str, Array], storage: str, bits: int, shape: tuple[int, int]) -> tuple[Array, Mask]:
    """Undo `store`: the matrix and its mask (for `dense`: where it is not zero).

    Raises ModelFileError for missing arrays, other types or shapes, and contents that contradict each other.
    """
    *index, values = arrays_of(state, storage, bits)
    try:
        matrix, mask = _decode(index, values, storage, bits, shape)
    except ValueError as error:
        raise ModelFileError(f"a {storage} weight of {bits} bits is not what it declares: {error}.") from error
    if bits < 32 and matrix.size and int(matrix.min()) < -(2 ** (bits - 1)) + 1:
        raise ModelFileError(f"a weight of {bits} bits holds {matrix.min()}, outside the symmetric range.")
    return matrix, mask


def arrays_of(state: Mapping[str, Array], storage: str, bits: int) -> list[Array]:
    """Return the arrays of a storage, the values last; raises ModelFileError for missing ones and other types."""
    if storage not in ARRAYS or bits not in _TYPES:
        raise ModelFileError(f"storage {storage!r} of {bits!r} bits is unknown (valid: {', '.join(ARRAYS)}; 32, 8, 4).")
    missing = [name for name in ARRAYS[storage] if name not in state]
    if missing:
        raise ModelFileError(f"a {storage} weight needs the arrays {ARRAYS[storage]}, but {missing} are missing.")
    *index, values = (state[name] for name in ARRAYS[storage])
    typed = all(
        part.ndim == 1 and part.dtype.name in _INDEX_TYPES[name]
        for name, part in zip(ARRAYS[storage], index, strict=False)
    )
    if values.dtype != _TYPES[bits] or not typed:
        found = ", ".join(f"{name} {state[name].dtype}" for name in ARRAYS[storage])
        raise ModelFileError(
            f"a {storage} weight of {bits} bits holds {_TYPES[bits]} values, but the file has {found}."
        )
    return [*index, values]


def _decode(index: list[Array], values: Array, storage: str, bits: int, shape: tuple[int, int]) -> tuple[Array, Mask]:
    if storage == "dense":
        packed = (shape[0], (shape[1] + 1) // 2) if bits == 4 else shape
        if values.shape != packed:
            raise ValueError(f"its shape is {values.shape}, expected {packed}")
        matrix = unpack_int4(values, shape[1]) if bits == 4 else values
        return matrix, matrix != 0
    kept = count_kept(index, storage, shape) if bits == 4 else values.size
    if values.ndim != 1 or (bits == 4 and values.size != (kept + 1) // 2):
        raise ValueError(f"values of shape {values.shape} are not those of {kept} positions")
    mask = decode_index(index, storage, kept, shape)
    matrix = np.zeros(shape, np.int8 if bits == 4 else values.dtype)
    matrix[mask] = unpack_int4(values, kept) if bits == 4 else values
    return matrix, mask


def smallest(mask: Mask, bits: int, unit: int = 1, filled: float = 1.0) -> str:
    """Return the storage that takes the fewest bytes for a matrix of `bits` wide values kept where `mask` is true.

    `unit` values lie at each position of the mask, of which the share `filled` are stored.
    """
    rows, columns = mask.shape
    kept = int(np.count_nonzero(mask))
    value_bytes = unit * filled * bits / 8
    index = {
        "bitmask": (rows * columns + 7) // 8,
        "csr": 4 * rows + kept * np.dtype(index_type(columns)).itemsize,
        "gaps": len(encode_gaps(mask)[0]),
        "holes": len(encode_holes(mask)[0]),
    }
    sizes = {"dense": rows * columns * value_bytes}
    for storage, size in index.items():
        is_wide = rows * columns * unit > MAX_EXPANSION * (size + kept * unit)  # a loader would refuse it
        if storage not in ("csr", "gaps") or not is_wide:
            sizes[storage] = size + kept * value_bytes + (len(ARRAYS[storage]) - 1) * _ENTRY_BYTES
    return min(sizes, key=lambda storage: sizes[storage])
