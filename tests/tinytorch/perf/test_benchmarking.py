"""Benchmarks, the suite and the standard tasks: measured values, and reasons where there is none."""

import json

import numpy as np
import pytest

import tinytorch.benchmarking
from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor
from tinytorch.perf import benchmarking, mlperf, suite
from tinytorch.perf.benchmarking import (
    Benchmark,
    BenchmarkResult,
    BenchmarkSuite,
    MLPerf,
    OlympicEvent,
    analyze_optimization_techniques,
)
from tinytorch.perf.measuring import labelled, t_quantile


class Named(Linear):
    """A linear model with a name."""

    def __init__(self, name, inputs=4, outputs=3):
        super().__init__(inputs, outputs)
        self.name = name


@pytest.fixture
def data():
    """Return labelled samples that Named("a") scores."""
    rng = np.random.default_rng(0)
    return Tensor(rng.normal(size=(30, 4))), rng.integers(0, 3, 30)


def test_result_statistics():
    """Mean, spread, extremes and Student's interval of known values."""
    result = BenchmarkResult("latency", [1.0, 2.0, 3.0, 4.0], {"unit": "ms"})
    assert (result.mean, result.median, result.min_val, result.max_val, result.count) == (2.5, 2.5, 1.0, 4.0, 4)
    assert result.std == pytest.approx(np.std([1, 2, 3, 4]))
    # t(0.975, 3) = 3.1824; standard error = sqrt(5/3)/2
    margin = 3.1824 * np.sqrt(5 / 3) / 2
    assert result.ci_upper - result.mean == pytest.approx(margin, rel=3e-3)
    assert json.loads(json.dumps(result.to_dict()))["metadata"] == {"unit": "ms"}


def test_results_need_values():
    """None is an error; one has itself as interval."""
    with pytest.raises(ValueError, match="at least one value"):
        BenchmarkResult("x", [])
    assert BenchmarkResult("x", [2.0]).ci_lower == 2.0


@pytest.mark.parametrize(("degrees", "exact"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (30, 2.0423)])
def test_t_quantiles(degrees, exact):
    """Against the tables."""
    assert t_quantile(0.975, degrees) == pytest.approx(exact, rel=3e-3)


def test_accuracy_is_counted_for_each_data_set(data):
    """Every form of a data set gives the same share of right answers."""
    model = Named("a")
    x, y = data
    forms = [
        (x, y),
        [x.data, list(y)],
        {"data": x, "labels": y},
        TensorDataset(x, Tensor(y)),
        DataLoader(TensorDataset(x, Tensor(y)), 7),
        (x, np.eye(3)[y]),
    ]
    result = Benchmark([model], forms).run_accuracy_benchmark()["a"]
    assert result.values == [float(np.mean(model(x).data.argmax(axis=1) == y))] * 6


def test_a_model_may_evaluate_itself(data):
    """Its own figure is used, if it is a share."""
    model = Named("a")
    model.evaluate = lambda dataset: 0.25
    assert Benchmark([model], [data]).run_accuracy_benchmark()["a"].mean == 0.25
    model.evaluate = lambda dataset: 92
    with pytest.raises(ValueError, match="share from 0 to 1"):
        Benchmark([model], [data]).run_accuracy_benchmark()


def test_no_accuracy_is_made_up(data):
    """No data, unreadable data, or outputs that are no scores: an error, whatever the model is called."""
    with pytest.raises(ValueError, match="at least one data set"):
        Benchmark([Named("efficient")], []).run_accuracy_benchmark()
    with pytest.raises(TypeError, match="str"):
        labelled("digits")
    with pytest.raises(ValueError, match="class scores"):
        Benchmark([lambda x: x.sum()], [data]).run_accuracy_benchmark()


def test_latency_and_memory_are_measured():
    """The runs asked for, in the unit named, for models and plain callables."""
    bench = Benchmark([Named("a"), lambda x: x * 2], [], warmup_runs=1, measurement_runs=4)
    latency, memory = bench.run_latency_benchmark((1, 4)), bench.run_memory_benchmark((1, 4))
    assert list(latency) == list(memory) == ["a", "model_1"]
    assert latency["a"].count == 4
    assert latency["a"].min_val > 0
    assert latency["a"].metadata == {"unit": "ms", "input_shape": [1, 4]}
    assert memory["a"].min_val >= 15 * 4 / 2**20


def test_models_are_compared_in_rows(data):
    """One row for each model with the course's keys; results are reused."""
    bench = Benchmark([Named("a"), Named("b")], [data])
    rows = bench.compare_models("accuracy")
    assert [set(row) for row in rows] == [{"model", "metric", "mean", "std", "ci_lower", "ci_upper", "count"}] * 2
    assert [row["model"] for row in rows] == ["a", "b"]
    bench.run_latency_benchmark((1, 4))
    assert bench.compare_models()[0]["mean"] == bench.results["latency"]["a"].mean
    with pytest.raises(ValueError, match="latency, accuracy, memory"):
        bench.compare_models("speed")
    with pytest.raises(ValueError, match="different names"):
        Benchmark([Named("a"), Named("a")], [])


def test_the_suite_says_what_it_could_not_measure(data, tmp_path, monkeypatch):
    """Without an energy counter energy is empty, and the report has the reason."""
    monkeypatch.setattr(suite, "ENERGY_COUNTER", tmp_path / "none")
    full = BenchmarkSuite([Named("a"), Named("b")], [data], tmp_path / "out")
    with pytest.raises(ValueError, match="run_full_benchmark"):
        full.generate_report()
    results = full.run_full_benchmark((1, 4))
    assert list(results) == ["latency", "accuracy", "memory", "energy"]
    assert results["energy"] == {}
    report = full.generate_report()
    assert "Not measured: the processor's energy counter cannot be read" in report
    assert (tmp_path / "out" / "report.md").read_text() == report
    with pytest.raises(ValueError, match="energy cannot be plotted"):
        full.plot_pareto_frontier("energy", "accuracy")


def test_the_suite_reads_an_energy_counter(tmp_path, monkeypatch):
    """Joules for each call, from the counter's difference."""
    counter = tmp_path / "energy_uj"
    counter.write_text("5000000\n")
    monkeypatch.setattr(suite, "ENERGY_COUNTER", counter)
    monkeypatch.setattr(suite, "ENERGY_CALLS", 2)

    class Burner:
        name = "burner"

        def forward(self, x):
            counter.write_text(str(int(counter.read_text()) + 3_000_000))
            return x

        def parameters(self):
            return []

    results = BenchmarkSuite([Burner()], [], tmp_path).run_full_benchmark((1, 4))
    assert results["energy"]["burner"].mean == 3.0


def test_figures_are_drawn(data, tmp_path):
    """One SVG for each measured metric, and a scatter plot with every model's name, escaped."""
    full = BenchmarkSuite([Named("a<b"), Named("c")], [data], tmp_path)
    full.run_full_benchmark((1, 4))
    names = {path.name for path in full.plot_results()}
    assert {"latency.svg", "accuracy.svg", "memory.svg"} <= names
    text = full.plot_pareto_frontier().read_text()
    assert text.startswith("<svg")
    assert "a&lt;b (" in text


def test_optimized_models_are_compared_with_the_base(data):
    """Ratios follow from the means; accuracy only with data."""
    base, small = Named("base"), Named("small")
    result = analyze_optimization_techniques(base, [small], [data], (1, 4))
    before, after = result["base_metrics"], result["optimized_results"]["small"]
    assert result["improvements"]["small"]["speedup"] == before["latency"] / after["latency"]
    assert result["improvements"]["small"]["accuracy_delta"] == after["accuracy"] - before["accuracy"]
    without = analyze_optimization_techniques(base, [small], [], (1, 4))
    assert set(without["improvements"]["small"]) == {"speedup", "memory_reduction"}


def test_a_standard_task_without_data_leaves_accuracy_open(tmp_path, monkeypatch):
    """No labels, no accuracy: None with the reason; with data it is counted."""
    monkeypatch.setattr(mlperf, "durations_ms", lambda call, warmup, runs: [1.0] * runs)
    tasks, model = MLPerf(random_seed=1), Named("tiny", 640, 2)
    result = tasks.run_standard_benchmark(model, "anomaly_detection", num_runs=5)
    assert (result["accuracy"], result["accuracy_met"], result["compliant"]) == (None, None, None)
    assert "random inputs have no labels" in result["accuracy_reason"]
    assert (result["target_accuracy"], result["target_latency_ms"], result["latency_met"]) == (0.85, 50, True)
    x = Tensor(np.random.default_rng(0).normal(size=(10, 640)))
    labels = model(x).data.argmax(axis=1)
    perfect = tasks.run_standard_benchmark(model, "anomaly_detection", 5, dataset=(x, labels))
    assert (perfect["accuracy"], perfect["compliant"]) == (1.0, True)
    table = tasks.generate_compliance_report({"anomaly_detection": result}, tmp_path / "r.json")
    assert "| anomaly_detection | tiny | not measured |" in table
    assert json.loads((tmp_path / "r.json").read_text())["anomaly_detection"]["accuracy"] is None


def test_standard_tasks_have_the_shapes_of_the_course():
    """Names, inputs and targets; each task can have a model of its own."""
    tasks = MLPerf()
    assert tasks.benchmarks["keyword_spotting"]["input_shape"] == (1, 16000)
    assert tasks.benchmarks["visual_wake_words"]["input_shape"] == (1, 96, 96, 3)
    assert set(tasks.run_all_benchmarks(lambda x: x, num_runs=2)) == set(tasks.benchmarks)
    assert list(tasks.run_all_benchmarks({"anomaly_detection": Named("m", 640)}, 2)) == ["anomaly_detection"]
    assert set(tasks.run_all_benchmarks([lambda x: x], 2)["model_0"]) == set(tasks.benchmarks)
    with pytest.raises(ValueError, match="keyword_spotting"):
        tasks.run_standard_benchmark(Named("m"), "chess")


def test_the_older_import_path():
    """tinytorch.benchmarking has the same names."""
    assert tinytorch.benchmarking.__all__ == benchmarking.__all__
    assert tinytorch.benchmarking.Benchmark is Benchmark
    assert OlympicEvent("latency_sprint") is OlympicEvent.LATENCY_SPRINT


def test_a_model_runs_on_what_its_data_sets_hold(tmp_path):
    """Where no shape is given: a sample of the first data set, or the course's shape without one."""
    model = Linear(7, 3)
    data = Tensor(np.zeros((5, 7))), np.zeros(5, int)
    latency = BenchmarkSuite([model], [data], tmp_path).run_full_benchmark()["latency"]["model_0"]
    assert latency.metadata["input_shape"] == [1, 7]
    assert analyze_optimization_techniques(model, [Named("b", 7)], [data])["base_metrics"]["latency"] > 0
    assert Benchmark([model], [data]).compare_models("memory")[0]["mean"] > 0
    assert suite.sample_shape([]) == suite.sample_shape([object()]) == (1, 28, 28)
