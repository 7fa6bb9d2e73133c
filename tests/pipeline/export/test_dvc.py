"""`pipeline export dvc`, read by DVC itself in a Git repository."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.export import dvc as target
from pipeline.export.figures import figures
from tests.pipeline.export.export_sources import sample_source
from tests.project import Project

NAMES = {"dvc.yaml", "metrics.json", "missing.json", "params.yaml", "plots/points.csv"}


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder and return what it says."""
    who = {f"GIT_{role}_{part}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    environment = {**os.environ, **who, "DVC_NO_ANALYTICS": "true", "CI": "true"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(folder: Path, *arguments: str) -> Any:
    """Return the document that DVC answers with."""
    return json.loads(run(folder, sys.executable, "-m", "dvc", *arguments, "--json"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A repository with an export committed, and another result exported over it; and the first submission."""
    pytest.importorskip("dvc")
    if shutil.which("git") is None:
        pytest.skip("DVC compares commits of Git, which is not installed")
    folder = tmp_path_factory.mktemp("dvc")
    repository = folder / "repository"
    (repository / "results").mkdir(parents=True)
    first = sample_source(folder / "first")
    target.export(first, repository / "results", argparse.Namespace())
    run(repository, "git", "init", "-q")
    run(repository, sys.executable, "-m", "dvc", "init", "-q")
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-q", "-m", "first")
    changed = json.loads(json.dumps(first.submission))
    changed["size"]["optimized"]["stored_bytes"] += 1000
    changed["experiment"]["document"]["model"]["arch"] = "cnn"
    shutil.rmtree(repository / "results")
    (repository / "results").mkdir()
    target.export(sample_source(folder / "second", **changed), repository / "results", argparse.Namespace())
    return repository, first.submission


def test_metrics_are_those_of_the_submission(repository: tuple[Path, Any]) -> None:
    """DVC shows each figure under its name."""
    folder, submission = repository
    shown = dvc(folder, "metrics", "show")[""]["data"]["results/metrics.json"]["data"]
    values = figures(submission).values
    found = {f"{side}/{name}": value for side, group in shown.items() for name, value in group.items()}
    assert {**found, "optimized/size_bytes": values["optimized/size_bytes"]} == values


def test_commits_are_compared(repository: tuple[Path, Any]) -> None:
    """What changed between two results is what DVC lists: one metric, one setting."""
    folder, submission = repository
    changed = dvc(folder, "metrics", "diff", "HEAD")["results/metrics.json"]
    before = submission["size"]["optimized"]["stored_bytes"]
    assert changed == {"optimized.size_bytes": {"old": before, "new": before + 1000, "diff": 1000}}
    settings = dvc(folder, "params", "diff", "HEAD")["results/params.yaml"]
    assert settings == {
        "experiment.model.arch": {"old": submission["experiment"]["document"]["model"]["arch"], "new": "cnn"}
    }


def test_plots_are_drawn(repository: tuple[Path, Any]) -> None:
    """DVC finds a point for each of the sweep in every plot."""
    folder, submission = repository
    drawn = dvc(folder, "plots", "show")
    assert not drawn.get("errors")
    points = submission["selection"]["points"]
    for name in ("accuracy against size", "speed-up by point"):
        content = drawn["data"][name][0]["content"]
        content = json.loads(content) if isinstance(content, str) else content
        assert [row["label"] for row in content["data"]["values"]] == [point["label"] for point in points]


def test_training_is_a_table(finished: Project, tmp_path: Path) -> None:
    """Each epoch of each step is a row, in order."""
    answer = finished.json("export", "dvc", "smoke", "--out", f"{tmp_path}/out")
    assert set(answer["files"]) == {*NAMES, "plots/training.csv"}
    rows = list(csv.DictReader((tmp_path / "out/plots/training.csv").read_text().splitlines()))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "train mlp seed=0"), ("2", "train mlp seed=0")]
    assert float(rows[0]["train_loss"]) > float(rows[1]["train_loss"])


def test_what_is_missing_has_its_reason(finished: Project, tmp_path: Path) -> None:
    """A figure is in metrics.json or in missing.json, never made up and never in both."""
    finished.run("export", "dvc", "smoke", "--out", f"{tmp_path}/out")
    metrics, missing = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("metrics", "missing"))
    assert "needs 6636 samples" in missing["optimized"]["latency_p99_9_ns"]
    assert not missing["optimized"].keys() & metrics["optimized"].keys()


def test_texts_are_no_formulas(tmp_path: Path) -> None:
    """A label that a spreadsheet would execute is text in the table, and YAML stays data."""
    source = sample_source(tmp_path / "a")
    points = [{**point, "label": '=HYPERLINK("http://x")'} for point in source.submission["selection"]["points"]]
    selection = {**source.submission["selection"], "points": points}
    document = {**source.submission["experiment"]["document"], "name": "!!python/object:os.system"}
    experiment = {**source.submission["experiment"], "document": document}
    (tmp_path / "out").mkdir()
    changed = sample_source(tmp_path / "b", selection=selection, experiment=experiment)
    target.export(changed, tmp_path / "out", argparse.Namespace())
    assert "\n0,\"'=HYPERLINK" in (tmp_path / "out/plots/points.csv").read_text()
    assert yaml.safe_load((tmp_path / "out/params.yaml").read_text())["experiment"] == document


def test_without_curves_there_is_no_plot_of_them(tmp_path: Path) -> None:
    """The answer says why."""
    (tmp_path / "out").mkdir()
    exported = target.export(sample_source(tmp_path / "a"), tmp_path / "out", argparse.Namespace())
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")} == NAMES
    assert "no training curves: the store no longer has" in exported.text
    assert "training loss" not in (tmp_path / "out/dvc.yaml").read_text()
