"""The real LoadGen driving our worker: scenarios, modes, failures, and our statistics against its own."""

import json
import os
import re

import numpy as np
import pytest

from pipeline.measure import loadgen, loadgen_worker
from pipeline.measure.job import Job
from pipeline.measure.launch import WorkerFailed, run_worker
from pipeline.measure.loadgen import LoadGenQuestion, compare, run_loadgen, too_quick
from pipeline.measure.loadgen_log import parse_run
from pipeline.stats.percentile import early_stopping_estimate, minimum_samples
from tinytorch.models import mlp
from tinytorch.serialization import load, save

pytest.importorskip("mlperf_loadgen")


@pytest.fixture
def folder(tmp_path):
    """A folder with two models of some 0.2 and 0.1 ms a call, and 20 samples."""
    for name, width in (("baseline", 1024), ("optimized", 600)):
        model = mlp.build((1, 48, 48), 3, np.random.default_rng(0), hidden=[width, 256])
        save(model, tmp_path / f"{name}.safetensors")
    samples = np.random.default_rng(1).standard_normal((20, 1, 1, 48, 48)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    return tmp_path


def run(folder, **settings):
    settings = {"scenario": "SingleStream", "min_duration_ms": 100, "min_query_count": 64, **settings}
    options = {**settings, "logs": str(folder / "logs")}
    return run_loadgen(folder / "baseline.safetensors", folder / "samples.npy", options, 1, 0, 600)


@pytest.mark.parametrize(
    ("settings", "samples_per_query"),
    [
        ({}, 1),
        ({"scenario": "MultiStream", "min_query_count": 100, "batch_size": 3}, 8),
        ({"scenario": "Server", "target_qps": 200.0, "target_latency_ns": 10**9, "min_query_count": 100}, 1),
    ],
)
def test_each_scenario_runs_and_is_read_back(folder, settings, samples_per_query):
    """LoadGen asks, our model answers, and its logs say what was asked."""
    result, logs = run(folder, **settings)
    found = parse_run(logs)
    assert found.scenario == settings.get("scenario", "SingleStream")
    assert found.samples_per_query == samples_per_query
    assert found.queries * samples_per_query == result["samples_answered"]
    assert found.validity == "VALID" or found.reasons


def test_a_batch_larger_than_a_query_does_not_mislead_loadgen(folder):
    """The time expected of a query is that of a call with its 8 samples, so that LoadGen generates enough of them."""
    result, logs = run(folder, scenario="MultiStream", batch_size=64, min_query_count=20)
    expected_s = loadgen_worker.expected_ns(result["query_ns"]["least"]) / 1e9
    assert parse_run(logs).effective["target_qps"] == pytest.approx(1 / expected_s, rel=1e-4)
    asked = loadgen_worker.Settings(scenario="MultiStream", batch_size=64, logs="")
    assert loadgen_worker._call_samples(asked) == 8


def test_offline_is_answered_in_batches(folder):
    """All samples come at once, more than there are of them, and each is answered."""
    result, logs = run(folder, scenario="Offline", batch_size=16, min_query_count=100)
    found = parse_run(logs)
    assert found.queries == 1
    assert found.samples_per_query == result["samples_answered"] >= 100
    assert found.unit == "samples/s"


def test_accuracy_mode_logs_the_models_outputs(folder):
    """Every sample is asked for once, and its logged response is the output that the model gives."""
    result, _ = run(folder, mode="AccuracyOnly")
    entries = json.loads((folder / "logs" / "mlperf_log_accuracy.json").read_text())
    samples = np.load(folder / "samples.npy")[:, 0]
    expected = load(folder / "baseline.safetensors").predict(samples)
    dtype = np.dtype(result["answer"]["dtype"])
    assert sorted(entry["qsl_idx"] for entry in entries) == list(range(20))
    for entry in entries:
        answer = np.frombuffer(bytes.fromhex(entry["data"]), dtype)
        np.testing.assert_allclose(answer, expected[entry["qsl_idx"]], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads cannot be pinned here")
def test_loadgens_threads_leave_the_callers_core(folder):
    """The caller stays on its core; LoadGen's own threads, which would inherit it, are on the others if there are."""
    result, _ = run(folder)
    pinned = result["conditions"]["pinned"]
    assert len(pinned) == 1
    assert result["loadgen_cores"] == (sorted(os.sched_getaffinity(0) - set(pinned)) or pinned)


def test_a_failing_callback_ends_the_worker(folder, monkeypatch):
    """A model that fails in the middle of a run ends the process with its error: no hang, no abort."""
    (folder / "breaks.py").write_text(
        "import sys\n"
        "from pipeline.measure import loadgen_worker as worker\n"
        "class Broken:\n"
        "    def __init__(self, *_):\n"
        "        self.calls = iter(range(400))\n"
        "    def run(self, query):\n"
        "        return query.no_such_method() if next(self.calls, None) is None else query\n"
        "worker._session = Broken\n"
        "worker._probe_calls = lambda *_: {'least': 1e6, 'median': 1e6}\n"
        "sys.exit(worker.serve(worker.KINDS, sys.argv[1:]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (folder / "logs").mkdir()
    job = Job(
        kind="loadgen",
        models={"model": str(folder / "baseline.safetensors")},
        inputs=str(folder / "samples.npy"),
        result=str(folder / "result.json"),
        threads=1,
        seed=0,
        options={"scenario": "SingleStream", "logs": str(folder / "logs"), "min_duration_ms": 60_000},
    )
    with pytest.raises(WorkerFailed, match="exit code 1") as caught:
        run_worker(job, 300, program=type(loadgen_worker)("breaks"))
    assert "AttributeError while LoadGen waited for answers" in str(caught.value)


def test_the_expected_latency_is_never_below_loadgens_own():
    """LoadGen generates queries in advance by this figure: a model that takes no time must not fill the memory."""
    assert loadgen_worker.expected_ns(100.0) == 5_000.0
    assert loadgen_worker.expected_ns(1e6) == pytest.approx(1.6e6)


def test_a_configuration_that_loadgen_cannot_read_is_refused(folder):
    """A file that is missing or has no numbers is an error of ours with its name."""
    (folder / "user.conf").write_text("*.SingleStream.min_duration = soon\n")
    with pytest.raises(WorkerFailed, match=r"LoadGen cannot read .*user\.conf"):
        run(folder, user_conf=str(folder / "user.conf"))


def test_an_audit_file_in_the_working_folder_changes_nothing(folder, monkeypatch):
    """LoadGen looks for audit.config where it is started; settings are only those that are recorded."""
    (folder / "audit.config").write_text("*.*.min_query_count = 100000\n")
    monkeypatch.chdir(folder)
    _, logs = run(folder)
    assert parse_run(logs).effective["min_query_count"] == 64


def test_our_early_stopping_is_loadgens(folder):
    """For the latencies in LoadGen's trace, our estimates of both percentiles are the ones that it logs."""
    _, logs = run(folder, min_duration_ms=400, min_query_count=700, trace=True)
    trace = (folder / "logs" / "mlperf_log_trace.json").read_text()
    latencies = np.array([int(ns) for ns in re.findall(r'"complete_ns":(\d+)', trace)], float)
    found = parse_run(logs)
    assert len(latencies) == found.queries >= minimum_samples(0.99)
    assert early_stopping_estimate(latencies, 0.9).value == found.metric
    p99 = re.search(r"99\.0th percentile estimate: (\d+)", found.early_stopping)
    assert early_stopping_estimate(latencies, 0.99).value == int(p99[1])


def question(**changes):
    return LoadGenQuestion(
        **{"scenario": "offline", "batch_size": 8, "threads": 1, "budget_s": 1.0, "seed": 0, **changes}
    )


def models(folder):
    return {name: folder / f"{name}.safetensors" for name in ("baseline", "optimized")}


def test_both_models_are_measured_in_turn(folder):
    """The record has both arms' runs, the order they were made in, and the logs of each."""
    record = compare(question(), models(folder), folder / "samples.npy", folder)
    assert record["reason"] is None
    result = record["result"]
    assert result["order"][:2] == ["baseline", "optimized"]
    assert {len(arm["runs"]) for arm in result["arms"].values()} == {len(result["order"]) // 2}
    assert set(record["logs"]) >= {"baseline-0", "optimized-0"}
    assert json.loads(json.dumps(record)) == record


def test_a_query_that_is_too_quick_is_not_timed(folder, monkeypatch):
    """Below the limit there is no figure, but the time that was found and the reason."""
    monkeypatch.setattr(loadgen, "LEAST_QUERY_NS", 10**9)
    record = compare(question(), models(folder), folder / "samples.npy", folder)
    assert record["result"] is None
    assert "LoadGen times queries from 1000000 µs on" in record["reason"]
    assert set(record["query_ns"]) == {"baseline", "optimized"}
    assert record["logs"] == {}


def test_the_reason_names_the_quicker_model_and_its_time():
    """100 µs are enough, 99 are not; the reason says by which model and how large LoadGen's part would be."""
    assert too_quick({"baseline": 150e3, "optimized": 100e3}) is None
    reason = too_quick({"baseline": 150e3, "optimized": 60e3})
    assert reason.startswith("a query takes the optimized model 60 µs")
    assert reason.endswith("of up to 15 µs a query would be 20% of the processor's time")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"scenario": "single_stream"}, "has one sample"), ({"scenario": "server", "batch_size": 1}, "latency_limit_ms")],
)
def test_what_loadgen_does_not_have_is_said(folder, changes, reason):
    """A condition that LoadGen cannot measure has no result and a reason, and starts nothing."""
    record = compare(question(**changes), models(folder), folder / "samples.npy", folder)
    assert record["result"] is None
    assert reason in record["reason"]
