"""What this core can do at best, measured: float32 multiply-adds per second, and bytes read per second by working set.

A layer is held against these limits (the roofline model, Williams, Waterman & Patterson, CACM 52:65, 2009). Bandwidth
depends on the cache a layer's data fit into, so it is measured at several sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.measure.clock import wall_ns

__all__ = ["Balance", "measure_balance"]

_GEMM = 512  # 3 MiB of operands and 0.27 GFLOP: large enough for BLAS's blocking to pay, some ms a product
_CACHED = (128 * 1024, 1024**2, 8 * 1024**2)  # bytes: what L2, L2 or L3, and L3 hold on most machines
_MEMORY = (64 * 1024**2, 512 * 1024**2)  # bytes: at least and at most, to be beyond the last cache
_SPENT_NS = 30_000_000  # of each measurement; the fastest repetition counts


@dataclass(frozen=True)
class Balance:
    """Peak GFLOP/s, and GB/s read for working sets up to each size in bytes (ascending)."""

    peak_gflops: float
    gbps_by_bytes: tuple[tuple[int, float], ...]

    @property
    def peak_gbps(self) -> float:
        """The bandwidth of memory: that of the largest working set."""
        return self.gbps_by_bytes[-1][1]

    def gbps(self, size_bytes: int) -> float:
        """Return the bandwidth that data of this size can have."""
        return next((gbps for size, gbps in self.gbps_by_bytes if size_bytes <= size), self.peak_gbps)

    def to_json(self) -> dict[str, Any]:
        """Return the record that a profile holds."""
        return {
            "peak_gflops": self.peak_gflops,
            "peak_gbps": self.peak_gbps,
            "gbps_by_working_set": [{"bytes": size, "gbps": gbps} for size, gbps in self.gbps_by_bytes],
            "how": f"measured: fastest float32 product of {_GEMM}x{_GEMM} matrices; "
            "fastest dot product of two vectors, each half the working set",
        }


def measure_balance(cache_bytes: int = 0) -> Balance:
    """Measure in this process, with the threads that BLAS has, in about 0.2 s.

    `cache_bytes` is the size of the largest cache, twice which counts as memory; 0 if unknown.
    """
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, _GEMM, _GEMM), np.float32)
    out = np.empty_like(a)
    gemm_ns = _fastest(lambda: np.matmul(a, b, out=out))
    bandwidths = []
    for size in (*_CACHED, int(np.clip(2 * cache_bytes, *_MEMORY))):
        x, y = np.ones((2, size // 8), np.float32)
        bandwidths.append((size, size / _fastest(lambda x=x, y=y: np.dot(x, y))))
    return Balance(2 * _GEMM**3 / gemm_ns, tuple(bandwidths))


def _fastest(work: Any) -> int:
    work()
    least, began = None, wall_ns()
    while least is None or wall_ns() - began < _SPENT_NS:
        start = wall_ns()
        work()
        wall = wall_ns() - start
        least = wall if least is None else min(least, wall)
    return max(least, 1)
