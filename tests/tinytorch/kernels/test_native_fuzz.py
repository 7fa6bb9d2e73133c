"""Every native kernel on random programs: agreement with NumPy, whatever the instruction set and the threads; no byte
read or written outside of its arrays.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.native_cases import MAKERS, Case
from tinytorch.kernels import native

pytestmark = [
    pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}"),
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),  # NaN and infinities are the point
]

KINDS = sorted(set(MAKERS) & set(native.kernel_names))
CASES = 20
# Of the size of the terms summed up: float32's 6e-8 for each of the few roundings, more for sums of hundreds of terms.
TOLERANCE = 4e-6
CANARY = 64
PROT_NONE = 0  # <sys/mman.h>


@cache
def make(kind: str, seed: int) -> Case:
    return MAKERS[kind](np.random.default_rng([seed, *kind.encode()]))


def run(case: Case, isa: str, batch: int, threads: int = 1) -> np.ndarray:
    """Run a case with an output amid other memory, which must not change."""
    size = case.expected.size
    memory = np.full(size + 2 * CANARY, -77, np.float32)
    out = memory[CANARY : CANARY + size].reshape(case.expected.shape)
    native.Program(fresh(case.ops), case.slots, batch, threads, isa).run(case.x, out)
    assert np.all(memory[:CANARY] == -77)
    assert np.all(memory[CANARY + size :] == -77)
    return out


def fresh(ops: Any) -> list[Any]:
    """Copy what a run writes to: the caches of attention."""
    return [(*op[:4], tuple(map(np.copy, op[4])) if op[0].startswith("attention") else op[4]) for op in ops]


def batch_of(case: Case) -> int:
    """Attention's caches belong to the samples, so that it takes them all at once."""
    return max(1, len(case.x) if any(op[0].startswith("attention") for op in case.ops) else (len(case.x) + 1) // 2)


def disagreement(out: np.ndarray, case: Case) -> str:
    """Say where an output is not what it should be; empty where it is."""
    same = (out == case.expected) | (np.isnan(out) & np.isnan(case.expected))
    if case.size is not None:
        same |= np.abs(out - case.expected) <= TOLERANCE * case.size + 1e-37
    wrong = [tuple(place) for place in np.argwhere(~same)]
    return f"{len(wrong)} of {out.size}, {out[wrong[0]]} for {case.expected[wrong[0]]} at {wrong[0]}" if wrong else ""


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_no_samples_are_nothing_to_do(kind: str, isa: str) -> None:
    """An empty batch runs, and leaves everything alone."""
    case = make(kind, 0)
    run(replace(case, x=case.x[:0], expected=case.expected[:0]), isa, batch_of(case))


def at_end_of_page(array: np.ndarray) -> np.ndarray:
    """Copy an array to where memory ends: the page after its last byte cannot be read."""
    pages = -(-array.nbytes // mmap.PAGESIZE) + 1
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE)
    start = (pages - 1) * mmap.PAGESIZE - array.nbytes
    copied = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copied[...] = array
    address = copied.ctypes.data + array.nbytes
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, PROT_NONE) == 0
    return copied


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_a_random_program_computes_what_numpy_does(kind: str, isa: str) -> None:
    """Integer kernels bit for bit, float kernels to a few roundings; NaN and infinities as NumPy says."""
    for seed in range(CASES):
        case = make(kind, seed)
        found = disagreement(run(case, isa, batch_of(case)), case)
        assert not found, f"case {seed}: {found}"


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(kind: str, isa: str) -> None:
    """Outputs are divided among threads, never a sum."""
    for seed in range(CASES):
        case = make(kind, seed)
        one, two = (run(case, isa, batch_of(case), threads).tobytes() for threads in (1, 2))
        assert one == two, f"case {seed}"


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_a_caller_needs_to_align_nothing_but_floats(kind: str, isa: str) -> None:
    """Input, weights and output may begin at any multiple of their numbers' size."""
    for seed in range(CASES):
        case = make(kind, seed)
        ops = tuple((*op[:4], tuple(a if a is None else shifted(a) for a in op[4])) for op in case.ops)
        moved = replace(case, ops=ops, x=shifted(case.x))
        assert run(moved, isa, batch_of(case)).tobytes() == run(case, isa, batch_of(case)).tobytes(), f"case {seed}"


def shifted(array: np.ndarray) -> np.ndarray:
    memory = np.zeros(array.size + 1, array.dtype)
    memory[1:] = array.ravel()
    return memory[1:].reshape(array.shape)


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect is called as on Linux")
@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_read_beyond_an_array(kind: str, isa: str) -> None:
    """Input, weights and output lie before a page that kills the process when it is touched."""
    for seed in range(CASES):
        case = make(kind, seed)
        ops = [(*op[:4], tuple(a if a is None or not a.size else at_end_of_page(a) for a in op[4])) for op in case.ops]
        x, out = at_end_of_page(case.x), at_end_of_page(np.zeros(case.expected.shape, np.float32))
        native.Program(ops, case.slots, batch_of(case), 1, isa).run(x, out)
        assert out.tobytes() == run(case, isa, batch_of(case)).tobytes(), f"case {seed}"


def test_every_kernel_is_tried() -> None:
    """A kernel that is added fails here until it has a maker of cases."""
    assert set(native.kernel_names) <= set(MAKERS)
