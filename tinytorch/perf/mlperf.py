"""The course's four tiny standard benchmarks: input shape, target accuracy and target latency, and who meets them.

They follow MLPerf Tiny in spirit only. Inputs are random, so accuracy is known only where labelled data is handed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.tensor import Tensor
from tinytorch.perf.measuring import classification_accuracy, labelled, model_name
from tinytorch.perf.structure import inference, run
from tinytorch.perf.timing import durations_ms

__all__ = ["MLPerf"]

WARMUP = 10
NO_DATA = "random inputs have no labels: pass dataset=(inputs, labels) to have accuracy measured"


class MLPerf:
    """Run the standard benchmarks; `random_seed` draws their inputs."""

    def __init__(self, random_seed: int = 42) -> None:
        self.random_seed = random_seed
        self.benchmarks: dict[str, dict[str, Any]] = {
            "keyword_spotting": _benchmark((1, 16000), 0.90, 100),
            "visual_wake_words": _benchmark((1, 96, 96, 3), 0.80, 200),
            "anomaly_detection": _benchmark((1, 640), 0.85, 50),
            "image_classification": _benchmark((1, 32, 32, 3), 0.75, 150),
        }

    def run_standard_benchmark(
        self, model: Any, benchmark_name: str, num_runs: int = 100, dataset: Any = None
    ) -> dict[str, Any]:
        """Time `model` on random inputs of the benchmark's shape and compare it with the targets.

        Without `dataset`, accuracy, `accuracy_met` and (unless the latency is missed) `compliant` are None, with
        `accuracy_reason`. Raises ValueError for an unknown benchmark.
        """
        if benchmark_name not in self.benchmarks:
            raise ValueError(f"The benchmark must be one of {', '.join(self.benchmarks)}, but got {benchmark_name!r}.")
        wanted = self.benchmarks[benchmark_name]
        x = Tensor(np.random.default_rng(self.random_seed).standard_normal(wanted["input_shape"]))
        with inference(model):
            latencies = durations_ms(lambda: run(model, x), WARMUP, num_runs)
        accuracy = None if dataset is None else classification_accuracy(model, *labelled(dataset))
        p50, p90, p99 = (float(np.percentile(latencies, p)) for p in (50, 90, 99))
        accuracy_met = None if accuracy is None else accuracy >= wanted["target_accuracy"]
        latency_met = p90 <= wanted["max_latency_ms"]
        return {
            "benchmark_name": benchmark_name,
            "model_name": str(getattr(model, "name", type(model).__name__)),
            "accuracy": accuracy,
            **({"accuracy_reason": NO_DATA} if accuracy is None else {}),
            "mean_latency_ms": float(np.mean(latencies)),
            "std_latency_ms": float(np.std(latencies)),
            "p50_latency_ms": p50,
            "p90_latency_ms": p90,
            "p99_latency_ms": p99,
            "max_latency_ms": max(latencies),
            "throughput_fps": 1000.0 / float(np.mean(latencies)),
            "target_accuracy": wanted["target_accuracy"],
            "target_latency_ms": wanted["max_latency_ms"],
            "accuracy_met": accuracy_met,
            "latency_met": latency_met,
            # a missed latency decides by itself; a met one needs the accuracy as well
            "compliant": False if not latency_met else accuracy_met,
            "num_runs": num_runs,
            "random_seed": self.random_seed,
        }

    def run_all_benchmarks(
        self, models: Mapping[str, Any] | Sequence[Any] | Any, num_runs: int = 100
    ) -> dict[str, dict[str, Any]]:
        """Run each benchmark: with one model for all, or with a mapping of benchmark names to models.

        A sequence of models gives {model name: {benchmark: result}}.
        """
        if isinstance(models, Mapping):
            return {name: self.run_standard_benchmark(model, name, num_runs) for name, model in models.items()}
        if isinstance(models, Sequence):
            return {model_name(m, i): self.run_all_benchmarks(m, num_runs) for i, m in enumerate(models)}
        return {name: self.run_standard_benchmark(models, name, num_runs) for name in self.benchmarks}

    def generate_compliance_report(
        self, results: Mapping[str, Mapping[str, Any]], output_path: str | Path = "mlperf_report.json"
    ) -> str:
        """Write the results as JSON to `output_path` and return them as a markdown table."""
        Path(output_path).write_text(json.dumps(results, indent=2, allow_nan=False), encoding="utf-8")
        lines = ["| benchmark | model | accuracy | p90 latency | compliant |", "|---|---|---|---|---|"]
        words = {True: "yes", False: "no", None: "undecided"}
        for name, result in results.items():
            accuracy = "not measured" if result["accuracy"] is None else f"{result['accuracy']:.1%}"
            lines.append(
                f"| {name} | {result['model_name']} | {accuracy} | {result['p90_latency_ms']:.3g} ms "
                f"| {words[result['compliant']]} |"
            )
        return "\n".join(lines) + "\n"


def _benchmark(shape: tuple[int, ...], accuracy: float, latency_ms: float) -> dict[str, Any]:
    return {"input_shape": shape, "target_accuracy": accuracy, "max_latency_ms": latency_ms}
