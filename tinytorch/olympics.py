"""The course's capstone: measure a model, compare an optimized one with it, and write the submission.

Sizes are the bytes the model holds, accuracy is counted, times are measured after a warm-up; nothing is assumed. For
intervals, verdicts and provenance there is the pipeline.
"""

from __future__ import annotations

import json
import math
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinytorch import __version__
from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import MB_TO_BYTES, Tensor
from tinytorch.perf.measuring import OlympicEvent, classification_accuracy
from tinytorch.perf.structure import held_bytes, inference, parameter_count, run
from tinytorch.perf.timing import durations_ms

__all__ = [
    "BenchmarkReport",
    "OlympicEvent",
    "SimpleMLP",
    "generate_submission",
    "qualifies_event",
    "save_submission",
    "validate_submission_schema",
]

WARMUP_RUNS = 10
TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}\S*")


class SimpleMLP(Layer):
    """The course's demonstration network: Linear, ReLU, Linear."""

    def __init__(self, input_size: int = 10, hidden_size: int = 20, output_size: int = 3) -> None:
        self.fc1: Layer = Linear(input_size, hidden_size)
        self.relu: Layer = ReLU()
        self.fc2: Layer = Linear(hidden_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, output_size) for samples (N, input_size)."""
        return self.fc2.forward(self.relu.forward(self.fc1.forward(x)))

    def children(self) -> dict[str, Layer]:
        """Name the three layers."""
        return {"fc1": self.fc1, "relu": self.relu, "fc2": self.fc2}

    def count_parameters(self) -> int:
        """Return the number of weights and biases."""
        return sum(p.size for p in self.parameters())

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (output_size,)."""
        return self.fc2.output_shape(self.fc1.output_shape(input_shape))

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiply-accumulates of both linear layers."""
        return self.fc1.macs(input_shape) + self.fc2.macs(self.fc1.output_shape(input_shape))


class BenchmarkReport:
    """The measurements of one model, with the machine and the time they were made."""

    def __init__(self, model_name: str = "model") -> None:
        self.model_name = model_name
        self.metrics: dict[str, Any] = {}
        self.system_info = self._get_system_info()
        self.timestamp = time.strftime("%Y-%m-%d %H:%M:%S")

    @staticmethod
    def _get_system_info() -> dict[str, str]:
        return {
            "platform": platform.platform(),
            "python_version": platform.python_version(),
            "numpy_version": np.__version__,
        }

    def benchmark_model(
        self, model: Any, X_test: Tensor | npt.ArrayLike, y_test: Any, num_runs: int = 100
    ) -> dict[str, Any]:
        """Measure `model` on test samples (N, ...) with class ids (N,) and return the metrics, kept in `metrics`.

        The model runs as for inference: dropout off, no gradients recorded. Latency is that of a single sample, after
        ten runs that do not count; throughput is 1000 / its mean. `model_size_mb` are the bytes of the stored arrays.
        Raises ValueError where there is no accuracy to be had: no samples, or outputs that are no class scores.
        """
        x = X_test if isinstance(X_test, Tensor) else Tensor(X_test)
        accuracy = classification_accuracy(model, x, np.asarray(y_test))
        one = x[:1]
        with inference(model):
            latencies = durations_ms(lambda: run(model, one), WARMUP_RUNS, num_runs)
        mean = float(np.mean(latencies))
        self.timestamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self.metrics = {
            "parameter_count": parameter_count(model),
            "model_size_mb": held_bytes(model) / MB_TO_BYTES,
            "accuracy": accuracy,
            "latency_ms_mean": mean,
            "latency_ms_std": float(np.std(latencies)),
            "latency_ms_median": float(np.median(latencies)),
            "throughput_samples_per_sec": 1000.0 / mean,
        }
        return self.metrics


def generate_submission(
    baseline_report: BenchmarkReport,
    optimized_report: BenchmarkReport | None = None,
    student_name: str | None = None,
    techniques_applied: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the course's submission: the baseline and, if there is an optimized report, it and the improvements.

    speedup and compression_ratio are baseline over optimized, accuracy_delta is optimized minus baseline. Raises
    ValueError for a report that lacks what they are computed from.
    """
    submission: dict[str, Any] = {
        "tinytorch_version": __version__,
        "submission_type": "capstone_benchmark",
        "timestamp": baseline_report.timestamp,
        "system_info": dict(baseline_report.system_info),
        "baseline": {"model_name": baseline_report.model_name, "metrics": dict(baseline_report.metrics)},
    }
    if student_name:
        submission["student_name"] = student_name
    if optimized_report is not None:
        submission["optimized"] = {
            "model_name": optimized_report.model_name,
            "metrics": dict(optimized_report.metrics),
            "techniques_applied": list(techniques_applied or []),
        }
        before, after = _needed(baseline_report), _needed(optimized_report)
        submission["improvements"] = {
            "speedup": before["latency_ms_mean"] / after["latency_ms_mean"],
            "compression_ratio": before["model_size_mb"] / after["model_size_mb"],
            "accuracy_delta": after["accuracy"] - before["accuracy"],
        }
    return submission


def _needed(report: BenchmarkReport) -> dict[str, float]:
    names = ("latency_ms_mean", "model_size_mb", "accuracy")
    missing = [name for name in names if name not in report.metrics]
    if missing:
        raise ValueError(
            f"The report of {report.model_name!r} has no {', '.join(missing)}, so no improvement can be computed: "
            "call its benchmark_model(model, X_test, y_test) first."
        )
    return {name: float(report.metrics[name]) for name in names}


def save_submission(submission: Mapping[str, Any], filepath: str | Path = "submission.json") -> str:
    """Write the submission as JSON and return the path.

    What is there must be right (see validate_submission_schema), but metrics may be missing; raises AssertionError, and
    writes nothing, for anything else.
    """
    _check(submission, required_metrics=())
    Path(filepath).write_text(json.dumps(submission, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return str(filepath)


def validate_submission_schema(submission: Mapping[str, Any]) -> bool:
    """Return True if the submission is complete and every value of the right kind and in range, else AssertionError."""
    required = [name for name in METRICS if name != "latency_ms_median"]
    _check(submission, required)
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_not_negative(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# metric -> (what it must be, in words; the check)
METRICS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "parameter_count": ("a whole number of at least 0", _is_count),
    "model_size_mb": ("a number of at least 0", _is_not_negative),
    "accuracy": ("a number from 0 to 1", _is_share),
    "latency_ms_mean": ("a number above 0", _is_positive),
    "latency_ms_std": ("a number of at least 0", _is_not_negative),
    "latency_ms_median": ("a number above 0", _is_positive),
    "throughput_samples_per_sec": ("a number of at least 0", _is_not_negative),
}
IMPROVEMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "speedup": ("a number above 0", _is_positive),
    "compression_ratio": ("a number above 0", _is_positive),
    "accuracy_delta": ("a number from -1 to 1", lambda value: _is_number(value) and -1 <= value <= 1),
}


def _check(submission: Mapping[str, Any], required_metrics: Sequence[str]) -> None:
    _require(isinstance(submission, Mapping), "a submission is a dict", submission)
    for name in ("tinytorch_version", "submission_type", "timestamp"):
        _require(isinstance(submission.get(name), str), f"{name} must be text", submission.get(name))
    kind, timestamp = submission["submission_type"], submission["timestamp"]
    _require(kind == "capstone_benchmark", "submission_type must be 'capstone_benchmark'", kind)
    _require(TIMESTAMP.fullmatch(timestamp), "timestamp must be YYYY-MM-DD HH:MM:SS", timestamp)
    system = submission.get("system_info")
    _require(isinstance(system, Mapping), "system_info must be a dict", system)
    for name in ("platform", "python_version", "numpy_version"):
        _require(isinstance(system.get(name), str), f"system_info.{name} must be text", system.get(name))  # type: ignore[union-attr]
    _check_model("baseline", submission.get("baseline"), required_metrics)
    if "optimized" in submission:
        _check_model("optimized", submission["optimized"], required_metrics)
        techniques = submission["optimized"].get("techniques_applied")
        is_texts = isinstance(techniques, list) and all(isinstance(t, str) for t in techniques)
        _require(is_texts, "optimized.techniques_applied must be a list of texts", techniques)
    if "improvements" in submission:
        _require("optimized" in submission, "improvements need an optimized model", None)
        _check_values("improvements", submission["improvements"], IMPROVEMENTS, list(IMPROVEMENTS))
    if "student_name" in submission:
        name = submission["student_name"]
        _require(isinstance(name, str) and name, "student_name must be text", name)


def _check_model(where: str, part: Any, required_metrics: Sequence[str]) -> None:
    _require(isinstance(part, Mapping), f"{where} must be a dict with model_name and metrics", part)
    _require(isinstance(part.get("model_name"), str), f"{where}.model_name must be text", part.get("model_name"))
    _check_values(f"{where}.metrics", part.get("metrics"), METRICS, required_metrics)


def _check_values(
    where: str, values: Any, kinds: Mapping[str, tuple[str, Callable[[Any], bool]]], required: Sequence[str]
) -> None:
    _require(isinstance(values, Mapping), f"{where} must be a dict", values)
    for name in required:
        _require(name in values, f"{where} must have {name}", sorted(values))
    for name, (words, is_right) in kinds.items():
        if name in values:
            _require(is_right(values[name]), f"{where}.{name} must be {words}", values[name])


def _require(holds: object, what: str, found: object) -> None:
    # not an assert statement: those vanish under python -O
    if not holds:
        raise AssertionError(f"Invalid submission: {what}, but found {found!r:.200}.")


# event -> what the metrics of an entry must satisfy; rankings among those that qualify are not decided here
EVENT_RULES: dict[OlympicEvent, dict[str, tuple[float, float]]] = {
    OlympicEvent.LATENCY_SPRINT: {"accuracy": (0.85, 1.0)},
    OlympicEvent.MEMORY_CHALLENGE: {"accuracy": (0.85, 1.0)},
    OlympicEvent.ACCURACY_CONTEST: {"latency_ms_mean": (0.0, 100.0), "model_size_mb": (0.0, 10.0)},
    OlympicEvent.ALL_AROUND: {},
    OlympicEvent.EXTREME_PUSH: {"accuracy": (0.80, 1.0)},
}


def qualifies_event(metrics: Mapping[str, float], event: OlympicEvent | str) -> bool:
    """Say whether a report's metrics meet the conditions of an event.

    Latency sprint and memory challenge: accuracy of at least 85 %; accuracy contest: at most 100 ms and 10 MB; extreme
    push: at least 80 %; all-around: open to all. Raises ValueError for an unknown event and for a metric that is needed
    and missing.
    """
    rules = EVENT_RULES[OlympicEvent(event)]
    missing = [name for name in rules if name not in metrics]
    if missing:
        raise ValueError(
            f"{OlympicEvent(event).value} is decided by {', '.join(rules)}, but {', '.join(missing)} is missing."
        )
    return all(low <= metrics[name] <= high for name, (low, high) in rules.items())
