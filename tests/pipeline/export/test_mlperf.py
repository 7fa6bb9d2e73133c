"""MLPerf's results tree: its texts, and the whole export with the real LoadGen on a small model."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import EnvironmentProblem, StageFailed, UserError
from pipeline.export import mlperf
from pipeline.export.mlperf_tree import (
    ACCURACY_LOG_BYTES,
    accuracy_text,
    measurements_json,
    predictions,
    shortened,
    system_json,
    user_conf,
)
from pipeline.export.target import Source
from pipeline.measure import machine
from pipeline.measure.loadgen_log import parse_run, read_logs
from pipeline.store.codecs import codec_named
from pipeline.store.local import LocalStore
from tests.project import Project
from tinytorch.data.split import Split
from tinytorch.models import mlp

SAMPLE = Path(__file__).parents[1] / "report" / "submission.json"
RESULTS = "open/unnamed/results/this-machine/tinytorch-digits/Offline"
QUICK = ("--scenario", "Offline", "--batch-size", "16", "--seconds", "0.2", "--allow-overhead")


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    mlperf.configure(parser)
    return parser.parse_args(words)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A run whose submission names a stored model and 50 stored test images."""
    rng = np.random.default_rng(0)
    store = LocalStore(tmp_path / "store")
    model = mlp.build((1, 8, 8), 3, rng, hidden=[16])
    split = Split(rng.integers(0, 255, (50, 1, 8, 8), dtype=np.uint8), rng.integers(0, 3, 50), 255.0)
    correct = int((model.predict(split.images(np.arange(50))).argmax(1) == split.labels).sum())
    document = json.loads(SAMPLE.read_text())
    document["experiment"]["name"] = "digits"
    document["provenance"]["weights"]["optimized"] = store.write(codec_named("model").encode(model))
    document["provenance"]["data"]["roles"]["test"] = store.write(codec_named("arrays").encode(split.to_arrays()))
    document["accuracy"]["optimized"]["test"]["correct"] = correct
    return Source(document, store)


def export(source: Source, out: Path, *words: str) -> Any:
    pytest.importorskip("mlperf_loadgen")
    out.mkdir(exist_ok=True)
    return mlperf.export(source, out, arguments(*words))


def test_the_tree_is_whole(source: Source, tmp_path: Path) -> None:
    """Every file that MLPerf's checker reads is there, the logs are LoadGen's, and accuracy is the submission's."""
    out = tmp_path / "out"
    exported = export(source, out, *QUICK)
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    logs = [f"mlperf_log_{name}.txt" for name in ("detail", "summary")]
    assert files == {
        "README.md",
        "accuracy_logs/Offline-mlperf_log_accuracy.json",
        "open/unnamed/model_mapping.json",
        "open/unnamed/src/experiment.json",
        "open/unnamed/src/submission.json",
        "open/unnamed/systems/this-machine.json",
        *(f"{RESULTS}/{name}" for name in ("README.md", "measurements.json", "user.conf")),
        *(f"{RESULTS}/performance/run_1/{name}" for name in logs),
        *(f"{RESULTS}/accuracy/{name}" for name in (*logs, "accuracy.txt", "mlperf_log_accuracy.json")),
    }
    run = parse_run(read_logs(out / RESULTS / "performance" / "run_1"))
    assert (run.validity, exported.problem) == ("VALID", "")
    assert run.effective["min_duration_ms"] == 200
    assert run.effective["qsl_rng_seed"] != 0  # the round's, from LoadGen's own mlperf.conf
    correct = source.submission["accuracy"]["optimized"]["test"]["correct"]
    assert exported.document["accuracy"] == {"correct": correct, "evaluated": 50}
    log = (out / "accuracy_logs" / "Offline-mlperf_log_accuracy.json").read_bytes()
    assert hashlib.sha256(log).hexdigest() in (out / RESULTS / "accuracy" / "accuracy.txt").read_text()
    assert json.loads((out / "open/unnamed/model_mapping.json").read_text()) == {"tinytorch-digits": "resnet"}


def test_what_the_checker_will_not_take_is_said(source: Source, tmp_path: Path) -> None:
    """A short run on another data set is written, with what stands in its way, in the answer and in README.md."""
    exported = export(source, tmp_path / "out", *QUICK)
    page = (tmp_path / "out" / "README.md").read_text()
    for note in ("asks for 600 s", "1,024 performance samples, and the test split has 50", "has 50,000 samples"):
        assert note in exported.text
        assert note in page


def test_an_invalid_run_is_written_and_called_invalid(source: Source, tmp_path: Path) -> None:
    """A server that cannot keep up, here with a query every 0.5 µs, gives a tree, a problem, and LoadGen's reason."""
    words = ("--scenario", "Server", "--rate", "2000000", "--latency-limit-ms", "1", "--seconds", "0.05")
    exported = export(source, tmp_path / "out", *words, "--allow-overhead")
    assert exported.problem.startswith("LoadGen calls the run INVALID")
    assert exported.document["validity"] == "INVALID"
    assert "Reduce target QPS" in exported.text


def test_queries_that_are_too_short_are_refused(source: Source, tmp_path: Path) -> None:
    """What LoadGen cannot time well is refused with the time that was found, unless it is asked for all the same."""
    with pytest.raises(UserError, match="a query takes the submitted model") as caught:
        export(source, tmp_path / "out", "--seconds", "1")
    assert "--allow-overhead" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--submitter", "../../etc"], "--submitter"),
        (["--system", ".."], "--system"),
        (["--benchmark", "a/b"], "--benchmark"),
        (["--submitter", ""], "--submitter"),
        (["--seconds", "nan"], "--seconds"),
        (["--seconds", "0"], "--seconds"),
        (["--batch-size", "0"], "--batch-size"),
        (["--batch-size", "2"], "has one sample"),
        (["--scenario", "Server"], "--rate and --latency-limit-ms"),
        (["--rate", "5"], "belong to Server"),
    ],
)
def test_arguments_that_cannot_be_are_refused(source: Source, tmp_path: Path, words: list[str], problem: str) -> None:
    """Names that would leave the folder and numbers without meaning are the user's errors, before anything runs."""
    with pytest.raises(UserError, match=problem):
        export(source, tmp_path / "out", *words)


def test_what_is_not_stored_is_said(source: Source, tmp_path: Path) -> None:
    """A submission that names what the store lacks, or names something else as its data, is an error of ours."""
    provenance = source.submission["provenance"]
    roles = provenance["data"]["roles"]
    known, roles["test"] = roles["test"], "0" * 64
    with pytest.raises(EnvironmentProblem, match="not stored"):
        export(source, tmp_path / "out", *QUICK)
    roles["test"] = provenance["weights"]["optimized"]
    with pytest.raises(UserError, match="names as its test data is none"):
        export(source, tmp_path / "out", *QUICK)
    roles["test"], provenance["weights"]["optimized"] = known, known
    with pytest.raises(StageFailed):
        export(source, tmp_path / "out", *QUICK)


def test_queries_that_do_not_fit_into_memory_are_refused(source: Source, tmp_path: Path) -> None:
    """LoadGen generates every query before it starts: what cannot fit is said before it tries."""
    with pytest.raises(EnvironmentProblem, match="LoadGen would need about"):
        export(source, tmp_path / "out", "--seconds", "10000000", "--allow-overhead")


def entry(index: int, values: list[float]) -> dict[str, Any]:
    return {"seq_id": index, "qsl_idx": index, "data": np.array(values, np.float32).tobytes().hex().upper()}


def test_predictions_come_from_the_log() -> None:
    """The class of a sample is that of its largest output, wherever in the log it stands."""
    log = json.dumps([entry(1, [0, 5, 1]), entry(0, [-1, -2, -3])]).encode()
    assert predictions(log, 2, "<f4", [3]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([entry(0, [1, 2, 3])], "lacks 1 of 2 samples"),
        ([entry(0, [1, 2, 3]), entry(2, [1, 2, 3])], "belongs to no sample"),
        ([entry(0, [1, 2])], "belongs to no sample"),
        ([{"qsl_idx": 0}], "not what LoadGen writes"),
        ([{"qsl_idx": 0, "data": "zz"}], "not what LoadGen writes"),
        (5, "not what LoadGen writes"),
    ],
)
def test_an_accuracy_log_that_is_none_is_refused(entries: Any, problem: str) -> None:
    """Missing, foreign and malformed responses are errors, not wrong answers."""
    with pytest.raises(StageFailed, match=problem):
        predictions(json.dumps(entries).encode(), 2, "<f4", [3])


def test_a_long_accuracy_log_is_shortened() -> None:
    """The checker takes 10 KiB; both ends are kept, and a short log is kept whole."""
    log = b"[" + b"x" * 50_000 + b"]"
    assert len(shortened(log)) < ACCURACY_LOG_BYTES
    assert shortened(log).startswith(b"[x")
    assert shortened(log).endswith(b"x]")
    assert shortened(b"[]") == b"[]"
    assert accuracy_text(9, 10, log).splitlines()[0] == "accuracy=90.000%, good=9, total=10"


def test_unknown_facts_are_said_to_be_unknown() -> None:
    """A machine of which nothing is known gives no made-up figure, and every field has some text."""
    facts = machine.facts()
    blank = {**facts, "cpu": None, "memory_bytes": None, "caches": None}
    names = {"submitter": "me", "system": "box", "status": "rdi"}
    found = system_json(blank, json.loads(SAMPLE.read_text()), names)
    for field in ("host_processor_model_name", "host_memory_capacity", "host_processor_caches", "cooling"):
        assert found[field].startswith("unknown")
    assert found["accelerators_per_node"] == "0"
    assert (found["submitter"], found["division"], found["system_type"]) == ("me", "open", "edge")


def test_measurements_tell_what_was_done_to_the_weights() -> None:
    """Widths and techniques are those of the submission's own record."""
    found = measurements_json(json.loads(SAMPLE.read_text()))
    assert all(found.values())
    assert "int" in found["weight_data_types"]


def test_the_configuration_is_what_loadgen_reads() -> None:
    """Each scenario has its own key beside the duration in ms."""
    server = {"rate_per_s": 12.5, "latency_limit_ms": 15}
    assert user_conf("SingleStream", 600, 1, 2e6, {}).splitlines() == [
        "*.SingleStream.min_duration = 600000",
        "*.SingleStream.target_latency = 2.000000",
    ]
    assert "*.Offline.target_qps = 8000.000" in user_conf("Offline", 1, 16, 2e6, {})
    assert user_conf("Server", 1, 1, 1.0, server).splitlines()[1:] == [
        "*.Server.target_qps = 12.500",
        "*.Server.target_latency = 15",
    ]


def test_the_command_writes_a_new_folder_once(project: Project) -> None:
    """A finished run is exported by name; a folder with something in it is left alone."""
    pytest.importorskip("mlperf_loadgen")
    found = project.json("export", "mlperf", "smoke", "--out", "out", *QUICK)
    assert found["validity"] == "VALID"
    assert (project.folder / "out" / "README.md").is_file()
    error = project.json("export", "mlperf", "smoke", "--out", "out", *QUICK, expect=2)["error"]
    assert error["message"] == "out is not empty"
    assert not list(project.folder.glob(".export-*"))


def test_what_cannot_be_exported_leaves_nothing(project: Project) -> None:
    """Unknown runs and targets are the user's errors; nothing is left of an export that failed."""
    pytest.importorskip("mlperf_loadgen")
    project.run("export", "mlperf", "nosuch", "--out", "out", expect=2)
    project.run("export", "nosuch", "smoke", "--out", "out", expect=2)
    project.run("export", "mlperf", "smoke", "--out", "out", "--system", "..", expect=2)
    assert not (project.folder / "out").exists()
    assert not list(project.folder.glob(".export-*"))
