"""Native programs whose parts do not fit together: refused in words, and never a byte outside of the arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.native_cases import MAKERS, Case
from tinytorch.kernels import native

pytestmark = [
    pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}"),
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),  # NaN and infinities are the point
]

Op: TypeAlias = tuple[str, Sequence[int], Sequence[int], Sequence[float], Sequence[Any]]

KINDS = sorted(set(MAKERS) & set(native.kernel_names))
EXTREMES = (-1, 0, 1, 2, 2**31, 2**61, 2**63 - 1, -(2**63))
REFUSALS = (ValueError, TypeError, OverflowError, MemoryError)


def put(items: Sequence[Any], place: int, item: Any) -> tuple[Any, ...]:
    return (*items[:place], item, *items[place + 1 :])


def wrong_dims(op: Op) -> Iterator[Op]:
    """Yield the operation with each dimension extreme, off by one, doubled, or right but for a power of 2."""
    kind, slots, dims, scalars, arrays = op
    for place, dim in enumerate(dims):
        for bad in (*EXTREMES, dim + 1, dim - 1, 2 * dim, 2**32 + dim, 2**62 + dim):
            yield kind, slots, put(dims, place, bad), scalars, arrays
    for bad_dims in (dims[:-1], (*dims, 1), (), (1,) * 40):
        yield kind, slots, bad_dims, scalars, arrays


def wrong_arrays(op: Op) -> Iterator[Op]:
    """Yield the operation with each array missing, too short, too long or of bytes, and with too few or too many."""
    kind, slots, dims, scalars, arrays = op
    for place, array in enumerate(arrays):
        given = np.zeros(3, np.float32) if array is None else array.ravel()
        for bad in (
            None,
            given[:-1].copy(),
            np.append(given, given[:1]),
            given[:0].copy(),
            given.view(np.int8)[1:].copy(),
        ):
            yield kind, slots, dims, scalars, put(arrays, place, bad)
    for bad_arrays in (arrays[:-1], (*arrays, None), (None,) * 40):
        yield kind, slots, dims, scalars, bad_arrays


def wrong_slots(op: Op) -> Iterator[Op]:
    """Yield the operation with each slot another one or none, and with too few or too many; with a scalar too many."""
    kind, slots, dims, scalars, arrays = op
    for place in range(len(slots)):
        for bad in (-1, 0, 1, 2, 9, 2**31, 2**40):
            yield kind, put(slots, place, bad), dims, scalars, arrays
    for bad_slots in (slots[:-1], (*slots, 1), (), (1,) * 40):
        yield kind, bad_slots, dims, scalars, arrays
    yield kind, slots, dims, (*scalars, 1.0), arrays


def shuffled_dims(op: Op) -> Iterator[Op]:
    """Yield the operation with dimensions drawn from all of them."""
    kind, slots, dims, scalars, arrays = op
    rng = np.random.default_rng(0)
    for _ in range(20):
        yield kind, slots, tuple(int(dim) for dim in rng.choice([*dims, 1, 3, 7], len(dims))), scalars, arrays


def run(ops: Sequence[Op], slots: Sequence[int], isa: str) -> None:
    """Run a program on two samples of zeros, its output amid other memory, which must not change."""
    program = native.Program(ops, slots, 2, 1, isa)
    size = slots[1] // 4 * 2
    memory = np.full(size + 128, -77, np.float32)
    program.run(np.zeros((2, slots[0] // 4), np.float32), memory[64 : 64 + size].reshape(2, -1))
    assert np.all(memory[:64] == -77)
    assert np.all(memory[64 + size :] == -77)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("mutate", [wrong_dims, wrong_arrays, wrong_slots, shuffled_dims])
@pytest.mark.parametrize("kind", KINDS)
def test_an_operation_that_does_not_fit_is_refused(kind: str, mutate: Any, isa: str) -> None:
    """Each wrong number is an error in words; what happens to fit all the same runs inside its memory."""
    refused = 0
    for seed in range(2):
        case = MAKERS[kind](np.random.default_rng(seed))
        for number, op in enumerate(case.ops):
            for bad in mutate(op):
                try:
                    run(put(case.ops, number, bad), case.slots, isa)
                except REFUSALS:
                    refused += 1
    assert refused > 3


@pytest.mark.parametrize("kind", KINDS)
def test_slots_of_another_size_are_refused(kind: str) -> None:
    """Too few bytes a sample, too many, none, fewer than none, more than there are."""
    case: Case = MAKERS[kind](np.random.default_rng(0))
    for place, size in enumerate(case.slots):
        for bad in (size - 4, size + 4, 0, -size, size + 2**40, 2**62, 2**63 - 1):
            with pytest.raises(REFUSALS):
                native.Program(case.ops, put(case.slots, place, bad), 2, 1)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_any_bytes_may_be_in_an_array(kind: str, isa: str) -> None:
    """Arrays are strangers' data: whatever they hold, a program is refused or runs inside its memory."""
    rng = np.random.default_rng(3)
    for seed in range(4):
        case = MAKERS[kind](np.random.default_rng(seed))
        for fill in (0x00, 0x7F, 0x80, 0xFF, None):
            ops = []
            for *description, arrays in case.ops:
                filled = [a if a is None else a.copy() for a in arrays]
                for array in (a for a in filled if a is not None):
                    raw = array.reshape(-1).view(np.uint8)
                    raw[...] = rng.integers(0, 256, raw.size) if fill is None else fill
                ops.append((*description, filled))
            try:
                run(ops, case.slots, isa)
            except ValueError:
                continue
