"""Code of the user's own from the command line to the submission: keys, worker processes, marks, verification."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.own.conftest import MODEL
from tests.project import Project, copy_project

CODE = '''
import numpy as np
from beside import LEVEL
from tinytorch.data.split import Dataset, Split


def levels(*, samples=60):
    """Dark and bright squares."""
    rng = np.random.default_rng(0)
    labels = np.arange(3 * samples) % 2
    pixels = (labels[:, None, None, None] * LEVEL + rng.standard_normal((3 * samples, 1, 4, 4))).astype(np.float32)
    parts = [Split(pixels[i::3], labels[i::3]) for i in range(3)]
    return Dataset("levels", ("dark", "bright"), *parts)


def halve(model):
    """Halve every weight."""
    for _, layer in model.named_layers():
        for array in layer.state().values():
            array *= 0.5
    return model


def share_of_bright(predicted, labels):
    """How many answers are "bright"."""
    return predicted.mean()


DATASETS = {"levels": levels}
METRICS = {"share_of_bright": share_of_bright}
PASSES = {"halve": halve}
'''
FILE = """
name: mine
data: {name: levels}
model: {arch: narrow, args: {width: 6}, train: {epochs: 1}}
optimize:
  - custom: {name: halve}
  - quantize: {bits: 8}
benchmark: {processes: 2, target_ci: 0.2, budget_s: 0.2, wait_s: 0}
outputs: {report: []}
"""
USE = ("--use", "mine/code_of_mine.py")
RUN = ("run", "mine.yaml", *USE, "--quiet")
RAN = (0, 5)  # 5: what was measured is noisy, which nothing here is about


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which an experiment has run that names a model, a data set and a pass of one file."""
    project = copy_project(tmp_path_factory.mktemp("mine"))
    (project.folder / "mine").mkdir()
    (project.folder / "mine" / "code_of_mine.py").write_text(MODEL + CODE)
    (project.folder / "mine" / "beside.py").write_text("LEVEL = 2.0\n")
    (project.folder / "mine.yaml").write_text(FILE)
    project.run(*RUN, "--workers", "2", expect=RAN)
    return project


def submission(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.folder / "runs" / "mine" / "submission.json").read_text())
    return found


def test_a_file_that_names_own_code_needs_to_be_told_of_it(mine: Project) -> None:
    """No string in a YAML file brings code: without the flag, the names mean nothing."""
    said = mine.run("validate", "mine.yaml", expect=2).stdout
    assert 'there is no dataset "levels"' in said
    assert "--use FILE.py adds your own" in said
    assert "valid experiment" in mine.run("validate", "mine.yaml", *USE).stdout
    assert "halve" in mine.run("list", "passes", *USE).stdout
    unknown = mine.run("plan", "mine.yaml", *USE, "--set", "optimize.custom.name=halves", expect=2).stderr
    assert 'there is no pass "halves" of your own; did you mean "halve"?' in unknown


def test_the_submission_is_marked_with_the_digests_of_the_code(mine: Project) -> None:
    """Whoever reads it knows that other code had a part in it, and which files they were."""
    (code,) = submission(mine)["provenance"]["custom_code"]
    assert (code["kind"], code["name"]) == ("file", "code_of_mine.py")
    assert code["brings"] == ["data levels", "metric share_of_bright", "model narrow", "pass halve"]
    assert list(code["files"]) == ["beside.py", "code_of_mine.py"]
    assert submission(mine)["warnings"][0].startswith("custom code: data levels, metric share_of_bright, model narrow")
    assert submission(mine)["provenance"]["command"].endswith("--use code_of_mine.py")


def test_a_metric_of_ones_own_is_in_the_submission_and_its_report(mine: Project) -> None:
    """For both models and both splits, of the answers that the evidence has."""
    found = submission(mine)["custom_metrics"]["share_of_bright"]
    assert [sorted(found[side]) for side in ("baseline", "optimized")] == [["test", "validation"]] * 2
    assert "share_of_bright (test)" in mine.run("show", "mine").stdout
    assert "share_of_bright" in mine.run("list", "metrics", *USE).stdout


def test_an_edit_of_the_code_or_of_what_it_imports_runs_its_nodes_again(mine: Project, tmp_path: Path) -> None:
    """And nothing is run again where nothing changed."""
    assert mine.run(*RUN, expect=RAN).stdout.startswith("11 nodes: 0 ran")
    beside = mine.folder / "mine" / "beside.py"
    before = beside.read_text()
    try:
        beside.write_text("LEVEL = 3.0\n")
        rows = mine.json("plan", "mine.yaml", *USE)["nodes"]
        assert next(row for row in rows if row["stage"] == "data")["status"] == "run"
        beside.write_text(f"# a comment\n{before}")
        assert {row["status"] for row in mine.json("plan", "mine.yaml", *USE)["nodes"] if row["stage"] == "data"} == {
            "cached"
        }
    finally:
        beside.write_text(before)


def test_the_process_that_times_imports_nothing_of_it(mine: Project) -> None:
    """Networks are made of our layers: what is timed is read from the stored file."""
    conditions = [
        json.loads(path.read_bytes())
        for path in (mine.folder / ".pipeline").rglob("*")
        if path.is_file() and b'"packages": ' in path.read_bytes()[:100_000] and b'"modules"' in path.read_bytes()
    ]
    assert "code_of_mine" not in json.dumps(conditions)


def test_verify_runs_the_code_only_if_it_is_told_of_it(mine: Project) -> None:
    """With the same flag, and only what has the same digest."""
    verify = ("verify", "mine", "--no-measure", "--quiet")
    said = mine.run(*verify, expect=2).stderr
    assert "code_of_mine.py, which brings data levels, metric share_of_bright" in said
    assert "--use PATH/code_of_mine.py" in said
    shown = mine.run(*verify, *USE, expect=4).stdout  # nothing was timed
    assert "with code that is no part of this installation" in shown
    assert "DIFFERS" not in shown
    assert "V033  metrics" in shown
    other = mine.folder / "other"
    other.mkdir()
    (other / "code_of_mine.py").write_text(MODEL + CODE)
    (other / "beside.py").write_text("LEVEL = 9.0\n")
    said = mine.run(*verify, "--use", "other/code_of_mine.py", expect=2).stderr
    assert "is other code than the submission was made with: beside.py" in said


def test_verify_computes_metrics_of_ones_own_again(mine: Project, tmp_path: Path) -> None:
    """Another number is no metric of these answers, whatever the rest of the file says."""
    document = submission(mine)
    document["custom_metrics"]["share_of_bright"]["optimized"]["test"] += 0.01
    (tmp_path / "submission.json").write_text(json.dumps(document))
    shutil.copy(mine.folder / "runs" / "mine" / "evidence.safetensors", tmp_path)
    file = str(tmp_path / "submission.json")
    shown = mine.run("verify", file, "--no-measure", "--quiet", *USE, expect=4).stdout
    assert "DIFFERS  V033  metrics" in shown
    assert "custom_metrics.share_of_bright.optimized.test" in shown


def test_a_submission_that_hides_the_mark_is_not_valid(mine: Project, tmp_path: Path) -> None:
    """The names of its experiment give it away."""
    document = submission(mine)
    del document["provenance"]["custom_code"]
    hidden = tmp_path / "submission.json"
    hidden.write_text(json.dumps(document))
    said = mine.run("validate", str(hidden), expect=4).stdout
    assert "R059" in said
    assert "found no code that brings the data levels" in said
