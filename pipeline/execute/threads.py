"""How many threads there may be: for BLAS one, since results must not depend on it, and split sums round otherwise."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["cores", "one_blas_thread"]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let the BLAS libraries in this process use one thread inside the block. Without numpy there are none."""
    if "numpy" not in sys.modules:
        yield
        return
    with _controller(len(sys.modules)).limit(limits=1):
        yield


@functools.lru_cache(maxsize=1)
def _controller(modules: int) -> Any:
    """Return what controls the libraries in memory. To find them takes a millisecond; only imports bring new ones."""
    return importlib.import_module("threadpoolctl").ThreadpoolController()
