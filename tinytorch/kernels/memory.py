"""Keep the memory that one training step frees for the next one, where the C library allows it (glibc).

A step allocates the same arrays as the step before, some 100 MB. glibc gives what was freed back to the system and asks
for it again, page by page: that took 20 to 25 % of the CPU time of training convolutional networks on 32x32 images.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["freed_memory_kept"]

# <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 2**31 - 1  # more than is ever free at once
# As far as glibc itself moves the two when large blocks are freed.
USUAL_MMAP, USUAL_TRIM = 32 * 2**20, 64 * 2**20


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Reuse freed memory inside the block instead of returning it to the system; return it at the end.

    It concerns the whole process, and does nothing where there is no glibc.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(M_TRIM_THRESHOLD, KEPT)
    if not libc.mallopt(M_MMAP_THRESHOLD, KEPT):  # older versions refuse more than this
        libc.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)
        libc.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP)
        libc.malloc_trim(0)
