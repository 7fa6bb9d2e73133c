"""A full comparison of models: all metrics, two figures, a markdown report; and base against optimized models.

Energy is read from the processor's own counter where the system offers it; elsewhere it is missing, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.tensor import Tensor
from tinytorch.perf.measuring import Benchmark, BenchmarkResult, model_name, sample_shape
from tinytorch.perf.plots import bar_chart, scatter_plot
from tinytorch.perf.structure import run

__all__ = ["BenchmarkSuite", "analyze_optimization_techniques"]

ENERGY_COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")  # microjoules of the first processor package
ENERGY_CALLS = 1000  # the counter moves about once a millisecond

Results = dict[str, dict[str, BenchmarkResult]]


class BenchmarkSuite:
    """Run every benchmark for `models` on `datasets` and write figures and report to `output_dir`."""

    def __init__(
        self, models: Sequence[Any], datasets: Sequence[Any], output_dir: str | Path = "benchmark_results"
    ) -> None:
        self.benchmark = Benchmark(models, datasets)
        self.output_dir = Path(output_dir)
        self.results: Results = {}
        self.unavailable: dict[str, str] = {}

    def run_full_benchmark(self, input_shape: tuple[int, ...] | None = None) -> Results:
        """Return {latency, accuracy, memory, energy}, each {model: BenchmarkResult}.

        The models run on `input_shape`: unless it is given, one sample of the first data set, or the course's (1, 28,
        28) without one.
        A metric that cannot be measured here is empty, with the reason in `unavailable`: accuracy without data sets,
        energy without a counter.
        """
        self.unavailable = {}
        input_shape = input_shape or sample_shape(self.benchmark.datasets)
        self.results = {
            "latency": self.benchmark.run_latency_benchmark(input_shape),
            "accuracy": {},
            "memory": self.benchmark.run_memory_benchmark(input_shape),
            "energy": self._energy(input_shape),
        }
        if self.benchmark.datasets:
            self.results["accuracy"] = self.benchmark.run_accuracy_benchmark()
        else:
            self.unavailable["accuracy"] = "no data set with labels was given"
        return self.results

    def _energy(self, input_shape: tuple[int, ...]) -> dict[str, BenchmarkResult]:
        try:
            ENERGY_COUNTER.read_text()
        except OSError as error:
            self.unavailable["energy"] = f"the processor's energy counter cannot be read: {error}"
            return {}
        x = Tensor(np.random.default_rng(0).standard_normal(input_shape))
        energy = {}
        for i, model in enumerate(self.benchmark.models):
            joules = []
            for _ in range(self.benchmark.measurement_runs):
                before = int(ENERGY_COUNTER.read_text())
                for _ in range(ENERGY_CALLS):
                    run(model, x)
                used = int(ENERGY_COUNTER.read_text()) - before
                if used >= 0:  # the counter starts again at zero now and then
                    joules.append(used / 1e6 / ENERGY_CALLS)
            if joules:
                name = model_name(model, i)
                energy[name] = BenchmarkResult(f"{name}_energy", joules, {"unit": "J", "scope": "processor package"})
        return energy

    def plot_results(self) -> list[Path]:
        """Write one bar chart (SVG) for each measured metric and return the files."""
        self._require_results()
        self.output_dir.mkdir(parents=True, exist_ok=True)
        files = []
        for metric, results in self.results.items():
            if results:
                bars = {name: (r.mean, r.ci_lower, r.ci_upper) for name, r in results.items()}
                unit = str(next(iter(results.values())).metadata["unit"])
                path = self.output_dir / f"{metric}.svg"
                path.write_text(bar_chart(metric, unit, bars), encoding="utf-8")
                files.append(path)
        return files

    def plot_pareto_frontier(self, x_metric: str = "latency", y_metric: str = "accuracy") -> Path:
        """Write a scatter plot (SVG) of two metrics and return the file; raises ValueError if one was not measured."""
        self._require_results()
        for metric in (x_metric, y_metric):
            if not self.results.get(metric):
                reason = self.unavailable.get(metric, "it is none of the metrics")
                raise ValueError(f"{metric} cannot be plotted: {reason}.")
        x, y = self.results[x_metric], self.results[y_metric]
        points = {name: (x[name].mean, y[name].mean) for name in x}
        self.output_dir.mkdir(parents=True, exist_ok=True)
        path = self.output_dir / f"{y_metric}_over_{x_metric}.svg"
        path.write_text(scatter_plot(x_metric, y_metric, points), encoding="utf-8")
        return path

    def generate_report(self) -> str:
        """Return a markdown table for each metric, and write it to report.md in the output directory."""
        self._require_results()
        lines = ["# Benchmark report", ""]
        for metric, results in self.results.items():
            lines += [f"## {metric.capitalize()}", ""]
            if not results:
                lines += [f"Not measured: {self.unavailable.get(metric, 'no value was obtained')}.", ""]
                continue
            unit = next(iter(results.values())).metadata["unit"]
            lines += [f"| model | mean ({unit}) | std | 95 % of the mean | runs |", "|---|---|---|---|---|"]
            lines += [
                f"| {name} | {r.mean:.4g} | {r.std:.2g} | {r.ci_lower:.4g} to {r.ci_upper:.4g} | {r.count} |"
                for name, r in results.items()
            ]
            lines.append("")
        text = "\n".join(lines)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        (self.output_dir / "report.md").write_text(text, encoding="utf-8")
        return text

    def _require_results(self) -> None:
        if not self.results:
            raise ValueError("There is nothing to show yet: call run_full_benchmark() first.")


def analyze_optimization_techniques(
    base_model: Any,
    optimized_models: Sequence[Any],
    datasets: Sequence[Any],
    input_shape: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Measure a base model and optimized ones, and return the figures and the ratios to the base.

    {base_metrics, optimized_results: {name: metrics}, improvements: {name: {speedup, memory_reduction,
    accuracy_delta}}}; accuracy is left out without data sets. Ratios above 1 are improvements. `input_shape` is as for
    `BenchmarkSuite.run_full_benchmark`.
    """
    input_shape = input_shape or sample_shape(datasets)
    benchmark = Benchmark([base_model, *optimized_models], datasets)
    measured = {
        "latency": benchmark.run_latency_benchmark(input_shape),
        "memory": benchmark.run_memory_benchmark(input_shape),
    }
    if datasets:
        measured["accuracy"] = benchmark.run_accuracy_benchmark()
    names = list(measured["latency"])
    means = {name: {metric: results[name].mean for metric, results in measured.items()} for name in names}
    base = means[names[0]]
    improvements = {}
    for name in names[1:]:
        own = means[name]
        improvements[name] = {
            "speedup": base["latency"] / own["latency"],
            "memory_reduction": base["memory"] / own["memory"],
        }
        if datasets:
            improvements[name]["accuracy_delta"] = own["accuracy"] - base["accuracy"]
    return {
        "base_metrics": base,
        "optimized_results": {name: means[name] for name in names[1:]},
        "improvements": improvements,
    }
