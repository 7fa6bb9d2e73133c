"""`pipeline export huggingface`, read by huggingface_hub's own parsers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.export.huggingface import eval_results, metadata
from tests.pipeline.export.export_sources import sample_source
from tests.project import Project

pytest.importorskip("onnx")
hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def repository(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the smoke run, for a data set of the Hub."""
    folder = tmp_path_factory.mktemp("hub") / "model"
    extra = ("--dataset", "some-org/optdigits", "--license", "mit")
    finished.run("export", "huggingface", "smoke", "--out", str(folder), *extra)
    return folder


@pytest.fixture
def submission(finished: Project) -> Any:
    """What the smoke run found."""
    return json.loads((finished.folder / "runs/smoke/submission.json").read_text())


def test_the_model_index_is_read(repository: Path, submission: Any) -> None:
    """By ModelCard, with the submission's accuracy, size, latency and speed-up."""
    data = hub.ModelCard.load(repository / "README.md").data
    found = {result.metric_type: result for result in data.eval_results}
    accuracy = found["accuracy"]
    assert (data.model_name, data.library_name, data.license) == ("smoke", "tinytorch", "mit")
    assert data.datasets == ["some-org/optdigits"]
    assert "structured-prune" in data.tags
    assert accuracy.metric_value == submission["accuracy"]["optimized"]["test"]["accuracy"]
    assert (accuracy.task_type, accuracy.dataset_type) == ("image-classification", "some-org/optdigits")
    assert (accuracy.dataset_name, accuracy.dataset_split) == ("digits", "test")
    assert found["size_bytes"].metric_value == submission["size"]["optimized"]["stored_bytes"]
    assert found["speedup"].metric_value == submission["comparisons"]["speed"]["speedup"]["estimate"]


def test_the_eval_results_are_read(repository: Path, submission: Any) -> None:
    """By the parser of `.eval_results`, and written by huggingface_hub they are the same again."""
    (file,) = (repository / ".eval_results").iterdir()
    written = yaml.safe_load(file.read_text())
    (entry,) = hub.parse_eval_result_entries(written)
    assert (entry.dataset_id, entry.task_id) == ("some-org/optdigits", "default")
    assert entry.value == submission["accuracy"]["optimized"]["test"]["accuracy"]
    assert str(entry.date) == submission["measurement"]["measured_at"]
    assert submission["provenance"]["weights"]["optimized"] in entry.notes
    assert hub.eval_result_entries_to_yaml([entry]) == written


def test_without_a_data_set_of_the_hub_there_are_no_eval_results(finished: Project, tmp_path: Path) -> None:
    """Its name is not guessed, and the answer says so."""
    done = finished.run("export", "huggingface", "smoke", "--out", f"{tmp_path}/out")
    assert "--dataset" in done.stdout
    assert not (tmp_path / "out" / ".eval_results").exists()
    data = hub.ModelCard.load(tmp_path / "out" / "README.md").data
    assert data.eval_results[0].dataset_type == "digits"
    assert data.license is None


@pytest.mark.parametrize("name", ["digits", "a/b/c", "../x", "/x", "a b/c"])
def test_a_name_that_the_hub_does_not_take_is_refused(finished: Project, tmp_path: Path, name: str) -> None:
    """It would become part of a file's name, and of the metadata."""
    done = finished.run("export", "huggingface", "smoke", "--out", f"{tmp_path}/o", "--dataset", name, expect=2)
    assert "no data set of the Hub" in done.stderr


def test_odd_texts_stay_texts_in_the_metadata(tmp_path: Path) -> None:
    """YAML of a hostile name is read as the name."""
    source = sample_source(tmp_path)
    evil = "x: [1]\n---\n# @all <b>"
    changed = {**source.submission, "experiment": {**source.submission["experiment"], "name": evil}}
    text = yaml.safe_dump(metadata(changed, None, "null"), sort_keys=False)
    card = hub.ModelCard(f"---\n{text}---\n\nbody")
    assert card.data.model_name == evil
    assert card.data.license == "null"
    assert yaml.safe_load(yaml.safe_dump(eval_results(changed, "a/b", "c")))[0]["dataset"] == {
        "id": "a/b",
        "task_id": "c",
    }
