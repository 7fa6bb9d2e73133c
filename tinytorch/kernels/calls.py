"""Calls of the native kernels of training: whether they are to be used, and on how many threads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch.kernels.instructions import isa

try:
    from tinytorch.kernels import _native
except ImportError:
    _native = None  # type: ignore[assignment]

__all__ = ["is_native", "run", "threads", "using_threads"]

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


def is_native(*arrays: Array | None) -> bool:
    """Say whether these arrays go to native kernels: all of float32, and such kernels are to be used."""
    return all(a is None or a.dtype is _FLOAT32 for a in arrays) and isa() is not None


def run(kind: str, dims: Sequence[int], arrays: tuple[Array | None, ...], scalars: tuple[float, ...] = ()) -> None:
    name = isa()
    if name is None:  # `is_native` was asked before
        raise RuntimeError(f"{kind} has no native kernel to run")
    _native.train(kind, tuple(dims), scalars, arrays, threads(), _native.isa_names.index(name))
