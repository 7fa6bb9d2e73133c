"""One thread for BLAS: results must not depend on the number of cores, and a sum that is split is rounded otherwise."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["one_blas_thread"]


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
