"""Compact encodings of which positions of a matrix are kept, and what their decoders refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.kernels import sparse

RNG = np.random.default_rng(11)
ENCODINGS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "bitmask": (sparse.encode_bitmask, sparse.decode_bitmask),
    "csr": (sparse.encode_csr, sparse.decode_csr),
    "gaps": (sparse.encode_gaps, sparse.decode_gaps),
    "holes": (sparse.encode_holes, sparse.decode_holes),
}


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (0, 3), (2, 70_000)])
@pytest.mark.parametrize("density", [0.001, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_are_lossless(shape: tuple[int, int], density: float, encoding: str) -> None:
    """Each encoding gives back the mask."""
    mask = RNG.random(shape) < density
    encode, decode = ENCODINGS[encoding]
    np.testing.assert_array_equal(decode(*encode(mask), int(mask.sum()), shape), mask)


def test_indices_take_two_bytes_while_they_can() -> None:
    """Column indices are uint16 up to 65,536 columns."""
    assert sparse.index_type(65_536) is np.uint16
    assert sparse.index_type(65_537) is np.uint32


@pytest.mark.parametrize("gap", [0, 254, 255, 256, 600])
def test_a_hole_takes_a_byte_and_one_more_for_every_255_positions_before_it(gap: int) -> None:
    """255 means that so many positions are kept and that the hole is still to come."""
    mask = np.ones((1, gap + 3), bool)
    mask[0, gap] = False
    (encoded,) = sparse.encode_holes(mask)
    assert len(encoded) == 1 + gap // 255
    np.testing.assert_array_equal(sparse.decode_holes(encoded, gap + 2, mask.shape), mask)


BITS = np.array([0b10100000], np.uint8)


@pytest.mark.parametrize(
    ("bits", "kept", "message"),
    [
        (BITS[:0], 2, "takes 1 bytes, not 0"),
        (BITS, 1, "keeps 2 positions, but values for 1 are stored"),
        (np.array([0b10100001], np.uint8), 2, "beyond its last position"),
    ],
)
def test_a_bitmask_that_contradicts_itself_is_refused(bits: np.ndarray, kept: int, message: str) -> None:
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
        ([1, 3], [0, 1, 2], "do not fit"),
    ],
)
def test_a_csr_that_contradicts_itself_is_refused(ends: list[int], columns: list[int], message: str) -> None:
    """Row ends must rise to the number of values, column indices must rise within the row and the width."""
    with pytest.raises(ValueError, match=message):
        sparse.decode_csr(np.array(ends, np.uint32), np.array(columns, np.uint16), 2, (2, 3))


@pytest.mark.parametrize(
    ("encoded", "kept", "message"),
    [
        ([1, 1], 3, "not 2 holes and values for 3"),
        ([1, 255], 5, "ends at no position"),
        ([4, 4], 4, "outside 2 x 3"),
        ([6], 5, "outside 2 x 3"),
    ],
)
def test_holes_that_contradict_themselves_are_refused(encoded: list[int], kept: int, message: str) -> None:
    """Holes and values must come to all positions, and no hole may lie behind the last."""
    with pytest.raises(ValueError, match=message):
        sparse.decode_holes(np.array(encoded, np.uint8), kept, (2, 3))


@pytest.mark.parametrize(
    ("encoded", "message"),
    [([1], "1 positions are kept, but values for 2"), ([0, 0, 255], "ends at no position"), ([4, 1], "outside 2 x 3")],
)
def test_gaps_that_contradict_themselves_are_refused(encoded: list[int], message: str) -> None:
    """There is a value for each position, and none may lie behind the last."""
    with pytest.raises(ValueError, match=message):
        sparse.decode_gaps(np.array(encoded, np.uint8), 2, (2, 3))


@pytest.mark.parametrize("unit", [1, 16])
def test_a_small_file_cannot_ask_for_a_large_matrix(unit: int) -> None:
    """A few bytes that declare a huge matrix are refused before anything is allocated."""
    rows, columns = 60_000, 65_536 // unit
    with pytest.raises(ValueError, match="more than 1024 a byte"):
        sparse.decode_csr(np.zeros(rows, np.uint32), np.zeros(0, np.uint16), 0, (rows, columns), unit)
    with pytest.raises(ValueError, match="more than 1024 a byte"):
        sparse.decode_gaps(np.zeros(1, np.uint8), 1, (rows, columns), unit)
