"""Calls of the native kernels of training: whether they are to be used, and on how many threads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch.kernels.instructions import extension, isa

__all__ = ["chosen_isa", "run", "threads", "using_threads"]

Array: TypeAlias = npt.NDArray[Any]

_FLOAT32 = np.dtype(np.float32)
_chosen: ContextVar[int] = ContextVar("threads")


def threads() -> int:
    """Return how many threads a kernel may use: as `using_threads` or OMP_NUM_THREADS says, else all cores."""
    chosen = _chosen.get(0)
    if not chosen:
        wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        chosen = int(wanted) if wanted.isdecimal() and int(wanted) else cores
        _chosen.set(chosen)
    return min(chosen, 1024)


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let kernels use `count` threads inside the block; the results are the same with any number.

    Raises ValueError for less than one.
    """
    if count < 1:
        raise ValueError(f"using_threads needs at least one thread, but got {count}.")
    before = _chosen.set(count)
    try:
        yield
    finally:
        _chosen.reset(before)


def chosen_isa(*arrays: Array | None) -> int | None:
    """Return the number of the instruction set for kernels on these arrays; None where NumPy computes with them.

    They go to native kernels if all are of float32 and such kernels are built and wanted.
    """
    # `==`, not `is`: an array that was unpickled has a dtype of its own, and must not take another way for that
    if extension is None or any(a is not None and not (a.dtype == _FLOAT32 and a.flags.aligned) for a in arrays):
        return None
    name = isa()
    return None if name is None else extension.isa_names.index(name)


def run(
    isa_number: int,
    kind: str,
    dims: Sequence[int],
    arrays: tuple[Array | None, ...],
    scalars: tuple[float, ...] = (),
) -> None:
    """Run one operation of native/train*.c. Raises ValueError for sizes that do not fit together."""
    extension.train(kind, tuple(dims), scalars, arrays, threads(), isa_number)
