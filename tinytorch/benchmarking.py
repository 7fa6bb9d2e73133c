"""The older import path of tinytorch.perf.benchmarking."""

from __future__ import annotations

from tinytorch.perf.benchmarking import (
    Benchmark,
    BenchmarkResult,
    BenchmarkSuite,
    MLPerf,
    OlympicEvent,
    analyze_optimization_techniques,
    precise_timer,
)

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "BenchmarkSuite",
    "MLPerf",
    "OlympicEvent",
    "analyze_optimization_techniques",
    "precise_timer",
]
