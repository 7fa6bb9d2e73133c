"""Calls of the training kernels whose parts do not fit together: refused, and never a byte outside of an array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tinytorch.kernels import instructions

pytestmark = pytest.mark.skipif(not instructions.isas(), reason=f"no native kernels: {instructions.why_not()}")

EXTREMES = (-1, 0, 1, 2, 2**24, 2**31, 2**61, 2**63 - 1, -(2**63))
REFUSALS = (ValueError, TypeError, OverflowError, MemoryError)
Call = tuple[str, tuple[int, ...], tuple[float, ...], tuple[Any, ...]]


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def calls() -> dict[str, Call]:
    """Return a call of each operation that is right."""
    conv, pool = (2, 6, 5, 3, 4, 3, 2, 1, 2, 1, 0), (2, 6, 5, 3, 2, 3, 2, 1, 1, 1)
    x, weight, grad = zeros(2, 6, 5, 3), zeros(3, 2, 3, 4), zeros(2, 6, 2, 4)
    places = np.zeros((2, 4, 5, 3), np.uint8)
    c, pixels = [zeros(3) for _ in range(4)], (60, 3)
    made: tuple[Call, ...] = (
        ("conv2d", conv, (), (x, weight, zeros(4), grad)),
        ("conv2d_input_grad", conv, (), (grad, weight, x)),
        ("conv2d_weight_grad", conv, (), (grad, x, weight)),
        ("moments", pixels, (), (zeros(60, 3), *c[:2])),
        ("channel_sums", pixels, (), (zeros(60, 3), c[0])),
        ("product_sums", pixels, (), (zeros(60, 3), zeros(60, 3), *c[:3])),
        ("normalize", pixels, (), (zeros(60, 3), zeros(60, 3), *c[:3])),
        ("normalize_grad", pixels, (), (zeros(60, 3), zeros(60, 3), zeros(60, 3), *c)),
        ("relu", (60,), (), (zeros(60), zeros(60))),
        ("relu_grad", (60,), (), (zeros(60), zeros(60), zeros(60))),
        ("max_pool2d", pool, (), (x, zeros(2, 4, 5, 3), places)),
        ("max_pool2d_grad", pool, (), (zeros(2, 4, 5, 3), places, x)),
        ("adam", (60,), (0.5,) * 8, (zeros(60), zeros(60), zeros(60), zeros(60))),
        ("sgd", (60,), (0.5,) * 3, (zeros(60), zeros(60), zeros(60))),
    )
    return {call[0]: call for call in made}


CALLS = calls()


def put(items: Sequence[Any], place: int, item: Any) -> tuple[Any, ...]:
    return (*items[:place], item, *items[place + 1 :])


def wrong(call: Call) -> Iterator[Call]:
    """Yield the call with each dimension extreme or off by one, each array another, and too few or too many of all."""
    kind, dims, scalars, arrays = call
    for place, dim in enumerate(dims):
        for bad in (*EXTREMES, dim + 1, dim - 1, 2 * dim, 2**32 + dim, 2**62 + dim):
            yield kind, put(dims, place, bad), scalars, arrays
    for place, array in enumerate(arrays):
        flat = array.ravel()
        for other in (
            None,
            flat[:-1].copy(),
            np.append(flat, flat[:1]),
            flat[:0].copy(),
            flat[::2],
            flat.astype(">f4"),
        ):
            yield kind, dims, scalars, put(arrays, place, other)
        yield kind, dims, scalars, put(arrays, place, "text")
    for bad_arrays in (arrays[:-1], (*arrays, None), (), (None,) * 40):
        yield kind, dims, scalars, bad_arrays
    for bad_dims in (dims[:-1], (*dims, 1), (), (1,) * 40, put(dims, 0, "1"), put(dims, 0, 1.5)):
        yield kind, bad_dims, scalars, arrays
    yield kind, dims, (*scalars, 1.0), arrays


def run(call: Call, isa: str, threads: int = 2) -> None:
    kind, dims, scalars, arrays = call
    number = instructions.extension.isa_names.index(isa)
    instructions.extension.train(kind, dims, scalars, arrays, threads, number)


@pytest.mark.parametrize("isa", instructions.isas())
@pytest.mark.parametrize("kind", CALLS)
def test_a_call_that_does_not_fit_together_is_refused(kind: str, isa: str) -> None:
    """Whatever is wrong: an exception that Python knows, or numbers that fit after all (a stride is one of many)."""
    call = calls()[kind]
    run(call, isa)
    refused = total = 0
    for other in wrong(call):
        total += 1
        try:
            run(other, isa)
        except REFUSALS:
            refused += 1
    assert refused >= total * 0.85


def test_the_message_names_operation_and_problem() -> None:
    """Sizes, shared memory, names, instruction sets and threads."""
    kind, dims, scalars, arrays = calls()["conv2d"]
    with pytest.raises(ValueError, match="conv2d: the weights have another size"):
        run((kind, dims, scalars, put(arrays, 1, zeros(5))), "portable")
    with pytest.raises(ValueError, match="conv2d takes tuples of 11 dimensions, 0 scalars and 4 arrays"):
        run((kind, dims[1:], scalars, arrays), "portable")
    with pytest.raises(ValueError, match="there is no operation conv3d"):
        run(("conv3d", dims, scalars, arrays), "portable")
    with pytest.raises(ValueError, match="on 0 threads: not here"):
        run((kind, dims, scalars, arrays), "portable", threads=0)
    shared = zeros(60)
    with pytest.raises(ValueError, match="arrays 0 and 1 share memory"):
        run(("relu", (60,), (), (shared, shared)), "portable")


def test_what_may_not_be_written_is_not() -> None:
    """A result has to be an array that can be written to."""
    out = zeros(60)
    out.flags.writeable = False
    with pytest.raises((BufferError, ValueError), match="read-only"):
        run(("relu", (60,), (), (zeros(60), out)), "portable")


@pytest.mark.parametrize("isa", instructions.isas())
@pytest.mark.parametrize("kind", CALLS)
def test_nothing_beside_the_results_changes(kind: str, isa: str) -> None:
    """Each array lies amid others, and those that are read stay as they are."""
    _, dims, scalars, arrays = calls()[kind]
    rng, guards, given = np.random.default_rng(0), [], []
    for array in arrays:
        memory = np.full(array.nbytes + 256, 0x77, np.uint8)
        inside = memory[128 : 128 + array.nbytes].view(array.dtype).reshape(array.shape)
        inside[...] = 0 if array.dtype == np.uint8 else np.abs(rng.normal(size=array.shape))
        guards.append(memory)
        given.append(inside)
    before = [array.copy() for array in given]
    run((kind, dims, scalars, tuple(given)), isa)
    assert all((memory[:128] == 0x77).all() and (memory[-128:] == 0x77).all() for memory in guards)
    changed = [i for i, (a, b) in enumerate(zip(before, given, strict=True)) if not np.array_equal(a, b)]
    written = {"adam": {0, 2, 3}, "sgd": {0, 2}, "product_sums": {3, 4}, "moments": {1, 2}, "max_pool2d": {1, 2}}
    last = {"normalize": {1}, "normalize_grad": {2}}
    assert set(changed) <= written.get(kind, last.get(kind, {len(arrays) - 1}))
