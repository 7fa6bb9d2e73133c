"""Benchmark several models on several data sets: latency, accuracy and memory, each as a `BenchmarkResult`.

Every value is measured; what cannot be measured is an error that says why, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import NormalDist
from typing import Any

import numpy as np

from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.function import Array
from tinytorch.core.tensor import MB_TO_BYTES, Tensor
from tinytorch.perf.structure import held_bytes, inference, run
from tinytorch.perf.timing import durations_ms, peak_bytes

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "OlympicEvent",
    "classification_accuracy",
    "labelled",
    "model_name",
    "sample_shape",
]

CONFIDENCE = 0.95
COURSE_SHAPE = (1, 28, 28)
INPUTS = ("data", "inputs", "X", "x", "images")
LABELS = ("labels", "targets", "y")


class OlympicEvent(Enum):
    """What a competition rewards."""

    LATENCY_SPRINT = "latency_sprint"
    MEMORY_CHALLENGE = "memory_challenge"
    ACCURACY_CONTEST = "accuracy_contest"
    ALL_AROUND = "all_around"
    EXTREME_PUSH = "extreme_push"


@dataclass
class BenchmarkResult:
    """Repeated measurements of one metric; raises ValueError if there is none.

    `std` is that of the values themselves (divisor n); `ci_lower` and `ci_upper` bound the mean with 95 % confidence
    by Student's t, and are the mean itself for a single value.
    """

    metric_name: str
    values: list[float]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = [float(v) for v in self.values]
        if not self.values:
            raise ValueError(f"BenchmarkResult({self.metric_name!r}) needs at least one value.")
        self.mean = float(np.mean(self.values))
        self.std = float(np.std(self.values))
        self.median = float(np.median(self.values))
        self.min_val, self.max_val, self.count = min(self.values), max(self.values), len(self.values)
        margin = 0.0
        if self.count > 1:
            margin = t_quantile((1 + CONFIDENCE) / 2, self.count - 1) * self.std / math.sqrt(self.count - 1)
        self.ci_lower, self.ci_upper = self.mean - margin, self.mean + margin

    def to_dict(self) -> dict[str, Any]:
        """Return name, values, statistics and metadata as JSON-able values."""
        names = (
            "metric_name",
            "values",
            "mean",
            "std",
            "median",
            "min_val",
            "max_val",
            "count",
            "ci_lower",
            "ci_upper",
        )
        return {**{name: getattr(self, name) for name in names}, "metadata": self.metadata}

    def __str__(self) -> str:
        return f"{self.metric_name}: {self.mean:.4f} ± {self.std:.4f} (n={self.count})"


def t_quantile(p: float, degrees: int) -> float:
    """Return the p-quantile of Student's t distribution.

    Closed forms for 1 and 2 degrees of freedom, else the expansion around the normal quantile in Abramowitz & Stegun,
    26.7.5: within 0.3 % from 3 degrees on.
    """
    if degrees == 1:
        return math.tan(math.pi * (p - 0.5))
    if degrees == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    z, n = NormalDist().inv_cdf(p), degrees
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(n) ** k for k, term in enumerate(terms, start=1))


class Benchmark:
    """Measure `models` (objects with forward(x), or callables) on `datasets`; names come from `model.name`.

    A data set is (inputs, labels), a mapping with both, a TensorDataset of both, or a DataLoader over one.
    """

    def __init__(
        self, models: Sequence[Any], datasets: Sequence[Any], warmup_runs: int = 5, measurement_runs: int = 10
    ) -> None:
        self.models, self.datasets = list(models), list(datasets)
        self.warmup_runs, self.measurement_runs = warmup_runs, measurement_runs
        self.results: dict[str, dict[str, BenchmarkResult]] = {}
        self._names = [model_name(model, i) for i, model in enumerate(self.models)]
        if len(set(self._names)) != len(self._names):
            raise ValueError(f"Models need different names to be compared, but these are called {self._names}.")

    def run_latency_benchmark(self, input_shape: tuple[int, ...] = (1, 28, 28)) -> dict[str, BenchmarkResult]:
        """Return milliseconds of a forward pass for an input of `input_shape`."""
        x = Tensor(np.random.default_rng(0).standard_normal(tuple(input_shape)))

        def latency(model: Any) -> list[float]:
            with inference(model):
                return durations_ms(lambda: run(model, x), self.warmup_runs, self.measurement_runs)

        return self._measure("latency", latency, {"unit": "ms", "input_shape": list(input_shape)})

    def run_accuracy_benchmark(self) -> dict[str, BenchmarkResult]:
        """Return the share of right answers, one value for each data set; raises ValueError if there is none.

        A model with an evaluate(dataset) method of its own is asked for it.
        """
        if not self.datasets:
            raise ValueError(
                "run_accuracy_benchmark() needs at least one data set with labels; without there is no accuracy."
            )
        return self._measure(
            "accuracy", lambda model: [_accuracy(model, data) for data in self.datasets], {"unit": "1"}
        )

    def run_memory_benchmark(self, input_shape: tuple[int, ...] = (1, 28, 28)) -> dict[str, BenchmarkResult]:
        """Return the megabytes of a model and of what a forward pass adds to it at its peak."""
        x = Tensor(np.random.default_rng(0).standard_normal(tuple(input_shape)))

        def memory(model: Any) -> list[float]:
            own = held_bytes(model) if callable(getattr(model, "parameters", None)) else 0
            with inference(model):
                run(model, x)  # what is prepared once does not belong to a pass
                return [(own + peak_bytes(lambda: run(model, x))) / MB_TO_BYTES for _ in range(self.measurement_runs)]

        return self._measure("memory", memory, {"unit": "MB", "input_shape": list(input_shape)})

    def compare_models(self, metric: str = "latency") -> list[dict[str, Any]]:
        """Return one row for each model, measuring `metric` (latency, accuracy, memory) unless that has been done.

        Latency and memory are those of one sample of the first data set, or of the course's shape (1, 28, 28).
        """
        runs: dict[str, Callable[..., dict[str, BenchmarkResult]]] = {
            "latency": self.run_latency_benchmark,
            "accuracy": self.run_accuracy_benchmark,
            "memory": self.run_memory_benchmark,
        }
        if metric not in runs:
            raise ValueError(f"The metric must be one of {', '.join(runs)}, but got {metric!r}.")
        given = () if metric == "accuracy" else (sample_shape(self.datasets),)
        results = self.results.get(metric) or runs[metric](*given)
        names = ("mean", "std", "ci_lower", "ci_upper", "count")
        return [
            {"model": model, "metric": metric, **{name: getattr(result, name) for name in names}}
            for model, result in results.items()
        ]

    def _measure(self, metric: str, measure: Any, metadata: Mapping[str, Any]) -> dict[str, BenchmarkResult]:
        named = zip(self._names, self.models, strict=True)
        self.results[metric] = {
            name: BenchmarkResult(f"{name}_{metric}", measure(model), dict(metadata)) for name, model in named
        }
        return self.results[metric]


def model_name(model: Any, position: int) -> str:
    """Return model.name, or "model_<position>"."""
    return str(getattr(model, "name", f"model_{position}"))


def sample_shape(datasets: Sequence[Any]) -> tuple[int, ...]:
    """Return the shape of a batch of one sample of the first data set.

    (1, 28, 28), the course's, without one and for one that only a model's own evaluate(dataset) understands.
    """
    try:
        return (1, *labelled(datasets[0])[0].shape[1:]) if datasets else COURSE_SHAPE
    except TypeError:
        return COURSE_SHAPE


def labelled(dataset: Any) -> tuple[Tensor, Array]:
    """Return (inputs, class ids or other labels) of a data set; raises TypeError for what is none."""
    if isinstance(dataset, DataLoader):
        batches = [labelled(batch) for batch in dataset]
        return Tensor(np.concatenate([x.data for x, _ in batches])), np.concatenate([y for _, y in batches])
    pair: Any = dataset.tensors if isinstance(dataset, TensorDataset) else dataset
    if isinstance(pair, Mapping):
        pair = [pair[name] for names in (INPUTS, LABELS) for name in names if name in pair]
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(
            f"A data set to evaluate on is (inputs, labels), a mapping with one of {INPUTS} and one of {LABELS}, a "
            f"TensorDataset of both or a DataLoader over one, but got {type(dataset).__name__}."
        )
    inputs, labels = pair
    return inputs if isinstance(inputs, Tensor) else Tensor(inputs), np.asarray(labels)


def classification_accuracy(model: Any, inputs: Tensor, labels: Array) -> float:
    """Return the share (0 to 1) of samples whose largest output is at the label (N,), or at the largest of (N, C).

    Raises ValueError unless the outputs are (N, C) for N labels.
    """
    with inference(model):
        outputs = run(model, inputs)
    wanted = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
    if outputs.ndim != 2 or len(outputs.data) != len(wanted) or not len(wanted):
        raise ValueError(
            f"Accuracy needs one row of class scores for each label, but the outputs have shape {outputs.shape} "
            f"and the labels {labels.shape}."
        )
    return float(np.mean(outputs.data.argmax(axis=1) == wanted))


def _accuracy(model: Any, dataset: Any) -> float:
    evaluate = getattr(model, "evaluate", None)
    value = float(evaluate(dataset)) if callable(evaluate) else classification_accuracy(model, *labelled(dataset))
    if not 0 <= value <= 1:
        raise ValueError(f"{type(model).__name__}.evaluate returned {value}; an accuracy is a share from 0 to 1.")
    return value
