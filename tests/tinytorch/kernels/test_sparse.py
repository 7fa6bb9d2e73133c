"""Compact encodings of matrices with many zeros, and what their decoders refuse."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import sparse

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (0, 3), (2, 70_000)])
@pytest.mark.parametrize("density", [0.001, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_encodings_are_lossless(shape: tuple[int, int], density: float, dtype: type) -> None:
    """Both encodings give back the values and the mask, kept zeros included."""
    mask = RNG.random(shape) < density
    values = (RNG.integers(-3, 4, shape) * mask).astype(dtype)
    for decoded, decoded_mask in (
        sparse.decode_bitmask(*sparse.encode_bitmask(values, mask), shape),
        sparse.decode_csr(*sparse.encode_csr(values, mask), shape),
    ):
        np.testing.assert_array_equal(decoded, values)
        np.testing.assert_array_equal(decoded_mask, mask)


def test_indices_take_two_bytes_while_they_can() -> None:
    """Column indices are uint16 up to 65,536 columns."""
    assert sparse.index_type(65_536) is np.uint16
    assert sparse.index_type(65_537) is np.uint32


BITS = np.array([0b10100000], np.uint8)
KEPT = np.array([1, 2], np.float32)


@pytest.mark.parametrize(
    ("bits", "kept", "message"),
    [
        (BITS[:0], KEPT, "takes 1 bytes, not 0"),
        (BITS, KEPT[:1], "keeps 2 values, but 1 are stored"),
        (np.array([0b10100001], np.uint8), KEPT, "beyond its last position"),
    ],
)
def test_a_bitmask_that_contradicts_itself_is_refused(bits: np.ndarray, kept: np.ndarray, message: str) -> None:
    """Mask length, number of values and padding must agree with the shape."""
    with pytest.raises(ValueError, match=message):
        sparse.decode_bitmask(bits, kept, (2, 3))


@pytest.mark.parametrize(
    ("ends", "columns", "message"),
    [
        ([1, 2], [0, 3], "outside 2 x 3"),
        ([2, 1], [0, 1], "outside 2 x 3"),
        ([1, 3], [0, 1], "outside 2 x 3"),
        ([2, 2], [1, 1], "not in increasing order"),
        ([2, 2], [2, 0], "not in increasing order"),
        ([2], [0, 1], "do not fit"),
    ],
)
def test_a_csr_that_contradicts_itself_is_refused(ends: list[int], columns: list[int], message: str) -> None:
    """Row ends must rise to the number of values, column indices must rise within the row and the width."""
    with pytest.raises(ValueError, match=message):
        sparse.decode_csr(np.array(ends, np.uint32), np.array(columns, np.uint16), KEPT, (2, 3))


def test_a_small_file_cannot_ask_for_a_large_matrix() -> None:
    """CSR of a few bytes that declares a huge matrix is refused before anything is allocated."""
    empty = np.zeros(0, np.float32)
    with pytest.raises(ValueError, match="more than 1024 a byte"):
        sparse.decode_csr(np.zeros(60_000, np.uint32), np.zeros(0, np.uint16), empty, (60_000, 65_536))
