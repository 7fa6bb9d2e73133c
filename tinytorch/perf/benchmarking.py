"""Benchmarking under the course's import path, gathered from measuring, suite, mlperf and timing."""

from __future__ import annotations

from tinytorch.perf.measuring import Benchmark, BenchmarkResult, OlympicEvent
from tinytorch.perf.mlperf import MLPerf
from tinytorch.perf.suite import BenchmarkSuite, analyze_optimization_techniques
from tinytorch.perf.timing import precise_timer

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "BenchmarkSuite",
    "MLPerf",
    "OlympicEvent",
    "analyze_optimization_techniques",
    "precise_timer",
]
