"""A built submission, read from a file, so that these tests depend on the document only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
HOSTILE = (
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>|**bold** [x](javascript:alert(1))\x1b[31m\n# h"
)

# Written for these tests in the course's own format.
COURSE = {
    "tinytorch_version": "0.1.0",
    "submission_type": "capstone_benchmark",
    "timestamp": "2025-03-02 09:15:00",
    "system_info": {"platform": "Linux-6.1-x86_64", "python_version": "3.11.6", "numpy_version": "1.26.0"},
    "baseline": {
        "model_name": "my_mlp",
        "metrics": {
            "parameter_count": 283,
            "model_size_mb": 0.00108,
            "accuracy": 0.5,
            "latency_ms_mean": 0.05,
            "latency_ms_std": 0.01,
            "throughput_samples_per_sec": 20000.0,
        },
    },
}


def make_hostile(value: Any, free: bool = False) -> Any:
    """Replace every text that the schema leaves free by one that attacks terminals, Markdown and HTML."""
    if isinstance(value, dict):
        return {key: _hostile_item(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [make_hostile(item, free) for item in value]
    return HOSTILE if free and isinstance(value, str) else value


def _hostile_item(key: str, item: Any) -> Any:
    if key in FREE_KEYS:
        return dict(zip([HOSTILE], item.values(), strict=False))
    return make_hostile(item, key in FREE)


FREE_KEYS = {"caches", "settings"}
FREE = {
    "blas", "command", "container", "cpu", "description", "governor", "id", "kernel", "kind", "label", "missing",
    "model_name", "name", "names", "p99", "peak_rss_reason", "reason", "rule", "system", "technique",
    "techniques_applied", "warnings", "numpy", "python", "package", "kernels", "flags", "scipy", "architecture",
    "sparsity",
}  # fmt: skip


@pytest.fixture
def submission() -> dict[str, Any]:
    """The submission of four made-up points."""
    document: dict[str, Any] = json.loads((HERE / "submission.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture
def hostile(submission: dict[str, Any]) -> dict[str, Any]:
    """The same with an attack in every free text; still valid by the schema."""
    found: dict[str, Any] = make_hostile(submission)
    return found


@pytest.fixture
def course() -> dict[str, Any]:
    """A submission of version 1 without an optimized model."""
    document: dict[str, Any] = json.loads(json.dumps(COURSE))
    return document
