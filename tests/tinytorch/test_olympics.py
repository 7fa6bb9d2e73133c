"""The capstone interface: the calls of the course's documents, honest figures, and what a submission must hold."""

import json
import sys

import numpy as np
import pytest

import tinytorch
from tinytorch import capstone, olympics
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.tensor import Tensor
from tinytorch.olympics import (
    BenchmarkReport,
    OlympicEvent,
    SimpleMLP,
    generate_submission,
    qualifies_event,
    save_submission,
    validate_submission_schema,
)
from tinytorch.perf.compression import magnitude_prune
from tinytorch.perf.quantization import quantize_model


@pytest.fixture
def data():
    """Return a hundred random samples of ten features and three classes."""
    rng = np.random.default_rng(0)
    return Tensor(rng.normal(size=(100, 10))), rng.integers(0, 3, 100)


@pytest.fixture
def report(data):
    """Return the report of a small network."""
    result = BenchmarkReport(model_name="baseline")
    result.benchmark_model(SimpleMLP(input_size=10, hidden_size=20, output_size=3), *data, num_runs=10)
    return result


def hand_made(name, latency, size, accuracy):
    """Return a report with metrics set by hand."""
    result = BenchmarkReport(model_name=name)
    result.metrics = {"latency_ms_mean": latency, "model_size_mb": size, "accuracy": accuracy}
    return result


def test_the_demonstration_network():
    """10-20-3 has 283 parameters, layers by the documents' names, and scores for each class."""
    model = SimpleMLP(input_size=10, hidden_size=20, output_size=3)
    assert model.count_parameters() == sum(p.data.size for p in model.parameters()) == 283
    assert (type(model.fc1), type(model.fc2), len(model.parameters())) == (Linear, Linear, 4)
    assert model.forward(Tensor(np.zeros((5, 10)))).shape == model(Tensor(np.zeros((5, 10)))).shape == (5, 3)
    assert (model.output_shape((10,)), model.macs((10,))) == ((3,), 260)


def test_a_report_measures_what_it_says(report, data):
    """All metrics are there; accuracy and size are those counted by hand."""
    model = SimpleMLP()
    metrics = BenchmarkReport().benchmark_model(model, *data, num_runs=5)
    by_hand = np.mean(model.forward(data[0]).data.argmax(axis=1) == data[1])
    assert set(metrics) == set(report.metrics) == set(olympics.METRICS)
    assert metrics["parameter_count"] == 283
    assert metrics["model_size_mb"] == 283 * 4 / 1024**2
    assert metrics["accuracy"] == by_hand
    assert metrics["latency_ms_mean"] > 0
    assert metrics["throughput_samples_per_sec"] == pytest.approx(1000 / metrics["latency_ms_mean"])
    assert type(metrics["parameter_count"]) is int


def test_a_report_records_its_circumstances(report):
    """Platform, Python, NumPy, and the time of day."""
    assert report.system_info["python_version"] == sys.version.split()[0]
    assert report.system_info["numpy_version"] == np.__version__
    assert olympics.TIMESTAMP.fullmatch(report.timestamp)
    assert BenchmarkReport().model_name == "model"


def test_arrays_and_lists_are_test_data_too(data):
    """Samples may be an array, labels a list or a tensor."""
    model = SimpleMLP()
    x, y = data
    values = {
        BenchmarkReport().benchmark_model(model, x.data, labels, 3)["accuracy"] for labels in (list(y), Tensor(y))
    }
    assert len(values) == 1


def test_dropout_is_off_while_measuring(data):
    """A model in training mode is measured as for inference, and stays in training mode."""
    model = Sequential(Linear(10, 3), Dropout(0.9))
    accuracies = {BenchmarkReport().benchmark_model(model, *data, num_runs=1)["accuracy"] for _ in range(5)}
    assert len(accuracies) == 1
    assert model.layers[1].training


def test_without_accuracy_there_is_no_report(data):
    """Outputs that are no class scores, or no samples, are an error and no number."""

    class Blind:
        def forward(self, x):
            return x.sum()

        def parameters(self):
            return []

    with pytest.raises(ValueError, match="class scores"):
        BenchmarkReport().benchmark_model(Blind(), *data)
    with pytest.raises(ValueError, match="class scores"):
        BenchmarkReport().benchmark_model(SimpleMLP(), Tensor(np.zeros((0, 10))), [])


def test_a_baseline_submission(report):
    """Type, version, time, machine and baseline; the student's name only if given."""
    submission = generate_submission(report, student_name="Ada")
    assert submission["submission_type"] == "capstone_benchmark"
    assert submission["tinytorch_version"] == tinytorch.__version__
    assert submission["student_name"] == "Ada"
    assert submission["baseline"] == {"model_name": "baseline", "metrics": report.metrics}
    assert not {"optimized", "improvements"} & set(submission)
    assert "student_name" not in generate_submission(report)
    assert validate_submission_schema(submission) is True


def test_improvements_are_ratios_to_the_baseline():
    """10 ms to 5 ms is a speedup of 2, 4 MB to 2 MB a compression of 2, 0.80 to 0.75 a delta of -0.05."""
    submission = generate_submission(
        baseline_report=hand_made("before", 10.0, 4.0, 0.80),
        optimized_report=hand_made("after", 5.0, 2.0, 0.75),
        techniques_applied=["pruning", "quantization"],
    )
    assert submission["improvements"]["speedup"] == 2.0
    assert submission["improvements"]["compression_ratio"] == 2.0
    assert submission["improvements"]["accuracy_delta"] == pytest.approx(-0.05)
    assert submission["optimized"]["techniques_applied"] == ["pruning", "quantization"]


def test_an_unmeasured_report_has_no_improvements(report):
    """A report without metrics is named, with what to do."""
    with pytest.raises(ValueError, match=r"'later' has no latency_ms_mean.*benchmark_model"):
        generate_submission(report, BenchmarkReport("later"))


def test_a_submission_is_saved_as_json(report, tmp_path):
    """The file holds the same values, and its path is returned; metrics set by hand may be incomplete."""
    submission = generate_submission(report, report, techniques_applied=[])
    path = save_submission(submission, str(tmp_path / "mine.json"))
    assert json.loads((tmp_path / "mine.json").read_text()) == submission
    assert path == str(tmp_path / "mine.json")
    save_submission(generate_submission(hand_made("m", 1.0, 1.0, 0.5)), tmp_path / "part.json")


def test_an_invalid_submission_is_not_written(report, tmp_path):
    """An accuracy of 92 is refused before there is a file."""
    submission = generate_submission(report)
    submission["baseline"]["metrics"]["accuracy"] = 92
    with pytest.raises(AssertionError, match=r"accuracy must be a number from 0 to 1, but found 92"):
        save_submission(submission, tmp_path / "bad.json")
    assert not (tmp_path / "bad.json").exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tinytorch_version",), None),
        (("submission_type",), "other"),
        (("timestamp",), "yesterday"),
        (("system_info",), []),
        (("system_info", "platform"), 3),
        (("baseline",), None),
        (("baseline", "model_name"), 1),
        (("baseline", "metrics", "accuracy"), "92%"),
        (("baseline", "metrics", "accuracy"), True),
        (("baseline", "metrics", "latency_ms_mean"), 0),
        (("baseline", "metrics", "latency_ms_std"), float("nan")),
        (("baseline", "metrics", "parameter_count"), 1.5),
        (("baseline", "metrics"), {}),
        (("optimized", "techniques_applied"), "pruning"),
        (("improvements", "speedup"), -1),
        (("improvements",), {}),
        (("student_name",), 7),
    ],
)
def test_a_wrong_value_is_found(report, path, value):
    """Each part of a submission has a kind and a range."""
    submission = generate_submission(report, report, "Ada", ["pruning"])
    assert validate_submission_schema(submission)
    part = submission
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(AssertionError, match=r"Invalid submission"):
        validate_submission_schema(submission)


def test_the_whole_workflow_with_pruning_and_quantization(data):
    """Profile, benchmark, prune, quantize, benchmark, compare: the int8 model holds fewer bytes and still answers."""
    baseline, optimized = BenchmarkReport("baseline"), BenchmarkReport("optimized")
    model = SimpleMLP(10, 64, 3)
    baseline.benchmark_model(model, *data, num_runs=10)
    model = quantize_model(magnitude_prune(model, sparsity=0.3), bits=8)
    optimized.benchmark_model(model, *data, num_runs=10)
    submission = generate_submission(baseline, optimized, techniques_applied=["pruning", "quantization"])
    assert validate_submission_schema(submission)
    assert submission["optimized"]["metrics"]["parameter_count"] == 64 * 10 + 64 + 64 * 3 + 3
    assert 2.5 < submission["improvements"]["compression_ratio"] < 4
    assert abs(submission["improvements"]["accuracy_delta"]) <= 0.2


@pytest.mark.parametrize(
    ("event", "metrics", "expected"),
    [
        ("latency_sprint", {"accuracy": 0.9}, True),
        (OlympicEvent.MEMORY_CHALLENGE, {"accuracy": 0.8}, False),
        ("accuracy_contest", {"latency_ms_mean": 99.0, "model_size_mb": 1.0}, True),
        ("accuracy_contest", {"latency_ms_mean": 101.0, "model_size_mb": 1.0}, False),
        ("all_around", {}, True),
        ("extreme_push", {"accuracy": 0.8}, True),
    ],
)
def test_events_have_conditions(event, metrics, expected):
    """Whether metrics qualify, for events and their names."""
    assert qualifies_event(metrics, event) is expected


def test_events_need_their_metrics():
    """A missing metric and an unknown event are errors."""
    with pytest.raises(ValueError, match="accuracy is missing"):
        qualifies_event({}, "latency_sprint")
    with pytest.raises(ValueError, match="marathon"):
        qualifies_event({}, "marathon")


def test_the_older_import_path():
    """tinytorch.capstone has the same names."""
    assert capstone.__all__ == olympics.__all__
    assert all(getattr(capstone, name) is getattr(olympics, name) for name in olympics.__all__)
    assert tinytorch.olympics is olympics
