"""A made-up experiment of four points on 360 test images, in the shapes that the stages hand over."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.submission.build import build
from pipeline.submission.candidate import Candidate, ModelResult

ITEMS = 360
MACHINE = {
    "architecture": "x86_64",
    "system": "Linux",
    "kernel": "6.1.0",
    "cpu": "Example CPU 9000",
    "flags": ["avx2", "fma"],
    "virtual": True,
    "caches": {"L1d": 32768, "L2": 1048576},
    "cores": {"allowed": 2, "online": 2},
    "memory_bytes": 8589934592,
    "container": "none",
    "governor": None,
    "turbo": None,
    "missing": {"governor": "scaling_governor: No such file or directory", "turbo": "boost: No such file or directory"},
    "python": "3.11.9",
    "numpy": "2.1.0",
    "blas": ["openblas 0.3.27 Haswell"],
}
CLOCK = {
    "name": "perf_counter_ns",
    "implementation": "clock_gettime(CLOCK_MONOTONIC)",
    "resolution_ns": 30,
    "overhead_ns": 45,
    "cpu_implementation": "clock_gettime(CLOCK_THREAD_CPUTIME_ID)",
    "cpu_resolution_ns": 1,
}
LABELS = ("sparsity=0.5 bits=32", "sparsity=0.5 bits=8", "sparsity=0.75 bits=8", "sparsity=0.9 bits=4")
# (correct on validation, correct on test, stored bytes, speed-up) of the four points; the baseline has 352 and 351.
POINTS = ((353, 352, 401_000, 1.61), (352, 351, 102_400, 1.38), (350, 349, 40_960, 1.92), (318, 309, 9_216, 2.25))
VERSIONS = {
    "python": "3.11.9",
    "numpy": "2.1.0",
    "scipy": "1.14.0",
    "package": "0.1.0",
    "kernels": "numpy (openblas 0.3.27 Haswell)",
}


def _digest(*words: object) -> str:
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def _accuracy(correct: int) -> dict[str, Any]:
    share = correct / ITEMS
    interval = [round(share - 0.02, 4), round(min(1.0, share + 0.01), 4)]
    return {
        "accuracy": share,
        "correct": correct,
        "evaluated": ITEMS,
        "interval": interval,
        "confidence": 0.95,
        "method": "wilson",
    }


def make_model(name: str, validation: int, test: int, stored_bytes: int) -> ModelResult:
    """A model that is right on the first so many items of each split."""
    metrics = {
        "validation": _accuracy(validation),
        "test": _accuracy(test),
        "stored_bytes": stored_bytes,
        "weight_bytes": stored_bytes - 1000,
        "parameters": stored_bytes // 4,
        "nonzero_parameters": stored_bytes // 4,
        "bits_per_weight": 32.0,
        "macs": stored_bytes // 4,
        "working_set_bytes": stored_bytes,
    }
    correct = {"validation": np.arange(ITEMS) < validation, "test": np.arange(ITEMS) < test}
    return ModelResult(_digest("weights", name), _digest("predictions", name), metrics, correct)


def make_ratio(estimate: float, half: float = 0.01) -> dict[str, Any]:
    return {
        "estimate": estimate,
        "interval": [estimate * (1 - half), estimate * (1 + half)],
        "confidence": 0.95,
        "method": "median of paired log ratios",
        "per_process": [estimate * factor for factor in (0.997, 0.999, 1.0, 1.0, 1.001, 1.003)],
    }


def _arm(median_ns: float, peak: int | None) -> dict[str, Any]:
    return {
        "n": 400,
        "median_ns": median_ns,
        "mean_ns": median_ns * 1.02,
        "std_ns": median_ns * 0.05,
        "interval_ns": [median_ns * 0.995, median_ns * 1.005],
        "tail_n": 500,
        "percentiles": {"p50": median_ns, "p90": median_ns * 1.1, "p99": None, "p99.9": None},
        "percentile_reasons": {"p99": "needs 662 samples, has 500", "p99.9": "needs 6636 samples, has 500"},
        "percentile_intervals": {
            "p50": [median_ns * 0.99, median_ns * 1.01],
            "p90": [median_ns * 1.08, median_ns * 1.15],
        },
        "percentile_interval_reasons": {},
        "cold_ns": median_ns * 20,
        "throughput_per_s": 1e9 / median_ns,
        "throughput_interval_per_s": [0.995e9 / median_ns, 1.005e9 / median_ns],
        "peak_rss_bytes": peak,
        "peak_rss_method": None if peak is None else "VmHWM",
        "peak_rss_reason": "the same stored model as the baseline" if peak is None else None,
        "quantities": {"energy_j": None, "instructions": None, "cycles": None, "frequency_hz": 3.4e9},
        "quantity_reasons": {
            "energy_j": "/sys/class/powercap: No such file or directory",
            "instructions": "this processor, or the virtual machine, offers no such counter",
            "cycles": "this processor, or the virtual machine, offers no such counter",
        },
    }


def _session(kernel: str, working_set_bytes: int, fits: str) -> dict[str, Any]:
    layers = {"fc1": ["flatten", "fc1", "relu1"], "fc2": ["fc2", "relu2"], "fc_out": ["fc_out"]}
    return {
        "instruction_set": "avx512vnni",
        "reference_reason": None,
        "threads": 1,
        "batch_size": 1,
        "working_set_bytes": working_set_bytes,
        "fits": fits,
        "layers": [
            {
                "name": name,
                "names": names,
                "computed_by": kernel,
                "size_bytes": working_set_bytes // 4,
                "candidates_ns": {kernel: 9_000.0, "numpy": 14_000.0},
            }
            for name, names in layers.items()
        ],
    }


def make_benchmark(speedup: float) -> dict[str, Any]:
    comparison = {
        "scenario": "single_stream",
        "batch_size": 1,
        "samples_per_query": 1,
        "threads": 1,
        "processes": 6,
        "pairs": 2400,
        "loops": 4,
        "dropped": 12,
        "steady_state": "reached",
        "threshold": 0.02,
        "arms": {
            "baseline": {**_arm(61_000.0, 31_457_280), "session": _session("linear_f32", 1_210_000, "L2")},
            "optimized": {**_arm(61_000.0 / speedup, 30_408_704), "session": _session("linear_i8", 47_000, "L1d")},
            "control": _arm(61_050.0, None),
        },
        "speedup": make_ratio(speedup),
        "control": make_ratio(0.9992, 0.002),
        "verdict": "faster",
        "noisy": False,
        "server": None,
        "warnings": [],
    }
    return {
        "protocol": "paired-clean/1",
        "measured_at": "2026-01-31T12:00:00Z",
        "machine": MACHINE,
        "clock": CLOCK,
        "comparisons": [comparison],
    }


def _effect(technique: str, before: int, after: int, bits: tuple[int, int], simulated: bool = False) -> dict[str, Any]:
    def counts(name: str, scale: int) -> dict[str, int]:
        return {f"{name}_before": before // scale, f"{name}_after": after // scale}

    layer = {
        "name": "fc1",
        "kind": "Linear",
        "settings": {},
        **counts("parameters", 4),
        **counts("nonzero", 4),
        **counts("bytes", 1),
        **counts("macs", 4),
        "bits_before": bits[0],
        "bits_after": bits[1],
    }
    return {
        "technique": technique,
        "settings": {"epochs": 3} if technique == "finetune" else {"sparsity": 0.5},
        "layers": [layer],
        **counts("stored_bytes", 1),
        **counts("parameters", 4),
        **counts("nonzero", 4),
        **counts("macs", 4),
        "simulated": simulated,
        "warnings": ["fc_out was left alone: it is the output layer"] if technique == "structured_prune" else [],
    }


def _profile() -> dict[str, Any]:
    def layer(name: str, macs: int, time_ns: float, bound: str) -> dict[str, Any]:
        return {
            "name": name,
            "kind": "Linear" if macs else "ReLU",
            "computed_by": "linear_f32" if macs else "unary",
            "parameters": macs,
            "macs": macs,
            "weight_bytes": 4 * macs,
            "activation_bytes": 2304,
            "time_ns": time_ns,
            "share": time_ns / 60_000,
            "arithmetic_intensity": 0.5,
            "gflops": 2 * macs / time_ns,
            "bound": bound,
        }

    layers = [
        layer("fc1", 32_768, 9_000, "memory"),
        layer("relu1", 0, 3_000, "overhead"),
        layer("fc2", 262_144, 39_000, "memory"),
        layer("relu2", 0, 3_000, "overhead"),
        layer("fc_out", 5_120, 6_000, "overhead"),
    ]
    total = {
        "parameters": 300_032,
        "macs": 300_032,
        "weight_bytes": 1_200_128,
        "activation_bytes": 11_520,
        "time_ns": 61_000.0,
        "layers_ns": 60_000.0,
        "gflops": 9.8,
    }
    balance = {
        "peak_gflops": 55.0,
        "peak_gbps": 11.0,
        "gbps_by_working_set": [{"bytes": 131072, "gbps": 48.0}],
        "how": "measured",
    }
    return {
        "measured_at": "2026-01-31T11:59:00Z",
        "machine": MACHINE,
        "threads": 1,
        "batch_size": 1,
        "balance": balance,
        "layers": layers,
        "total": total,
    }


def make_candidate(number: int, /, **changes: Any) -> Candidate:
    """Point `number` of the sample; keyword arguments replace fields."""
    validation, test, stored_bytes, speedup = POINTS[number]
    sparsity, bits = (part.partition("=")[2] for part in LABELS[number].split())
    fields: dict[str, Any] = {
        "index": number,
        "label": LABELS[number],
        "seed": 0,
        "point": {"sparsity": float(sparsity), "bits": int(bits)},
        "arch": "mlp",
        "steps": (
            {"id": "prune", "use": "prune", "params": {"sparsity": float(sparsity)}},
            {"id": "finetune", "use": "finetune", "params": {"epochs": 3}},
            {"id": "quantize", "use": "quantize", "params": {"bits": int(bits)}},
        ),
        "baseline": make_model("baseline", 352, 351, 1_204_000),
        "optimized": make_model(f"optimized {number}", validation, test, stored_bytes),
        "benchmark": make_benchmark(speedup),
        "samples_digest": _digest("samples", number),
        "effects": (
            _effect("structured_prune", 1_204_000, 4 * stored_bytes, (32, 32)),
            _effect("finetune", 4 * stored_bytes, 4 * stored_bytes, (32, 32)),
            _effect("quantize", 4 * stored_bytes, stored_bytes, (32, int(bits))),
        ),
        "profile": _profile(),
        "data": {role: _digest(role) for role in ("train", "validation", "test")},
        "info": {
            "name": "digits",
            "digest": _digest("digits"),
            "classes": [str(i) for i in range(10)],
            "shape": [1, 8, 8],
            "counts": {"train": 1077, "validation": ITEMS, "test": ITEMS},
        },
    }
    return Candidate(**{**fields, **changes})


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    """The factory `make_candidate`, for tests that change fields."""
    return make_candidate


@pytest.fixture
def ratio() -> Callable[..., dict[str, Any]]:
    """The factory of ratio records."""
    return make_ratio


@pytest.fixture
def model() -> Callable[..., ModelResult]:
    """The factory of models."""
    return make_model


@pytest.fixture
def spec() -> dict[str, Any]:
    """What the submit stage is asked for."""
    goals = [
        {"metric": "accuracy", "max_drop": 0.03},
        {"metric": "speedup", "at_least": 1.5},
        {"minimize": "size_bytes"},
    ]
    document = {
        "version": 1,
        "name": "sample",
        "description": "Where do pruning and INT8 stop paying?",
        "model": {"arch": "mlp"},
        "goals": goals,
    }
    return {"experiment": document, "name": "sample", "goals": goals}


@pytest.fixture
def submission(spec: dict[str, Any]) -> dict[str, Any]:
    """The submission built from the four sample points."""
    return copy.deepcopy(build(spec, [make_candidate(i) for i in range(4)], VERSIONS))


@pytest.fixture
def versions() -> dict[str, str]:
    """Versions as the submit stage finds them."""
    return dict(VERSIONS)
