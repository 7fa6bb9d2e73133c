"""A comparison of frameworks that is made up: what its processes read, and the document that follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.measure.framework_record import record
from pipeline.measure.summary import Question
from pipeline.submission.frameworks import build_frameworks

__all__ = ["MACHINE", "QUESTION", "checked", "document", "processes", "row"]

QUESTION = Question("single_stream", 1, 1, 3, 0.05, 5.0, 0.02, 0)
MACHINE: dict[str, Any] = {
    **dict.fromkeys(("caches", "container", "governor", "memory_bytes", "turbo", "virtual")),
    "cpu": "a <b>CPU</b>",
    "cores": {"allowed": 1, "online": 1, "quota": None},
    "flags": ["avx"],
    "blas": ["openblas"],
    "system": "Linux",
    "kernel": "6",
    "architecture": "x86_64",
    "python": "3.11",
    "numpy": "2",
    "missing": {},
}
_GAUGES = dict.fromkeys(("others", "stolen", "paused", "pauses"), 0.0) | {"elapsed_s": 1.0}


def processes(torch: float | None, count: int = 3, control: float = 1.0) -> list[dict[str, Any]]:
    """Return processes in which our calls take 50 µs, and PyTorch's `torch` times that."""
    factors = [1.0, control, *([] if torch is None else [torch])]
    return [_process(seed, factors) for seed in range(count)]


def _process(seed: int, factors: Sequence[float]) -> dict[str, Any]:
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.002, (48, len(factors))))
    wall = (500_000 * np.array(factors) * noise).astype(int).tolist()
    return {
        "arms": ["tinytorch", "control", "torch"][: len(factors)],
        "wall_ns": wall,
        "cpu_ns": wall,
        "copy": [i // 16 for i in range(48)],
        "empty_ns": 0,
        "loops": 10,
        "copies": 3,
        "steady": True,
        "is_cpu_time_fine": True,
        "conditions": {"gauges": _GAUGES, "quota": None},
    }


def checked(**changes: Any) -> dict[str, Any]:
    """Return what the first process found: 0.5 GFLOP/s would be compute, 40 GB/s memory."""
    sizes = [{"bytes": 2**20, "gbps": 100.0}, {"bytes": 2**26, "gbps": 20.0}]
    return {
        "called": {"tinytorch": "ours", "torch": "theirs"},
        "outputs": {"calls": 8, "max_abs_difference": 1e-6, "largest_output": 1.0},
        "reason": None,
        "sessions": {"tinytorch": {"layers": [{"name": "fc", "computed_by": "linear_f32"}]}},
        "work": {"operations": 1_000_000, "moved_bytes": 1_000_000, "working_set_bytes": 1_000_000},
        "balance": {
            "peak_gflops": 200.0,
            "peak_gbps": 20.0,
            "gbps_by_working_set": sizes,
            "how": "measured",
            "peak_int8_gops": None,
        },
        "instruction_set": "avx2",
        "reference_reason": None,
        **changes,
    }


def row(torch: float | None = 2.0, control: float = 1.0, **changes: Any) -> dict[str, Any]:
    """Return what the framework stage returns of a piece of work."""
    found = checked(**({"reason": "torch is not installed", "outputs": None} if torch is None else {}), **changes)
    head = {
        "protocol": "paired-clean/1",
        "measured_at": "2026-01-31T12:00:00Z",
        "machine": MACHINE,
        "precision": "fp32",
    }
    read = processes(torch, control=control)
    return {**head, **record(QUESTION, found, "fp32", read, [0.0] * len(read), 0.0)}


def document(*rows: dict[str, Any], title: str = "linear 512x512", **head: Any) -> dict[str, Any]:
    """Return the document of pieces of work."""
    asked = {
        "name": "x",
        "description": "y",
        "document": {"name": "x"},
        "torch": "2.0",
        "threads": 1,
        "processes": 3,
        "target_ci": 0.05,
        "budget_s": 5.0,
        "threshold": 0.02,
        "cases": [{"op": "linear", "args": {"inputs": 512}}] * len(rows),
        "titles": [f"{title} {number}" for number in range(len(rows))],
    }
    return build_frameworks({**asked, **head}, rows)
