"""A language model from the text to the submission, as a user does it: once, and then looked at from all sides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, copy_project

TEXT = "".join(f"line {i % 37} says that {i % 11} and {i % 7} are numbers, été too.\n" for i in range(500))
FILE = """\
name: texts
data: {name: text, path: a.txt, args: {context: 16, vocab_size: 300}}
model:
  arch: gpt
  args: {layers: 1, embed_dim: 16, heads: 2}
  train: {epochs: 2, lr: 1e-2, batch_size: 16, optimizer: adamw, schedule: cosine, warmup: 3, accumulation: 2}
optimize:
  - prune: {method: magnitude, sparsity: 0.1}
  - quantize: {bits: 8}
sweep: {grid: {optimize.quantize.bits: [8, 4]}}
benchmark: {processes: 2, budget_s: 0.2, target_ci: 0.9, wait_s: 0}
goals:
  - {metric: perplexity, max_increase: 0.5}
  - {minimize: perplexity}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the experiment was run."""
    made = copy_project(tmp_path_factory.mktemp("texts"))
    (made.folder / "a.txt").write_text(TEXT, encoding="utf-8")
    (made.folder / "experiments" / "texts.yaml").write_text(FILE)
    made.run("run", "experiments/texts.yaml", expect=(0, 3, 5))
    return made


@pytest.fixture
def submission(project: Project) -> dict[str, Any]:
    """What was submitted."""
    found: dict[str, Any] = json.loads((project.folder / "runs" / "texts" / "submission.json").read_text())
    return found


def test_perplexity_decides(submission: dict[str, Any]) -> None:
    """The point with the lower one on validation is submitted; its goal is decided on test."""
    points = submission["selection"]["points"]
    best = min(points, key=lambda point: point["perplexity"]["validation"])
    assert submission["selection"]["chosen"] == best["index"]
    assert submission["constraints"][0]["metric"] == "perplexity"
    assert submission["language"]["optimized"]["test"]["bits_per_byte"] > 0
    assert submission["language"]["optimized"]["test"]["tokens"] == submission["provenance"]["data"]["counts"]["test"]


def test_training_has_a_curve(submission: dict[str, Any]) -> None:
    """Of both epochs, with the loss on the validation text."""
    assert [set(epoch) for epoch in submission["training"][0]["epochs"]] == [
        {"epoch", "train_loss", "validation_loss", "validation_accuracy", "lr"}
    ] * 2


def test_reports_say_it(project: Project) -> None:
    """In Markdown and HTML; the terminal shows the same rows."""
    for name in ("report.md", "report.html"):
        assert "perplexity" in (project.folder / "runs" / "texts" / name).read_text()


def test_everything_is_found_done_again(project: Project) -> None:
    """The second run computes nothing; another text computes everything."""
    again = project.json("plan", "experiments/texts.yaml")
    assert {node["status"] for node in again["nodes"]} == {"cached"}
    text = project.folder / "a.txt"
    text.write_text(TEXT + "more\n", encoding="utf-8")
    nodes = project.json("plan", "experiments/texts.yaml")["nodes"]
    assert next(node for node in nodes if node["stage"] == "data")["status"] == "run"
    text.write_text(TEXT, encoding="utf-8")


def test_figures_are_computed_again_from_the_evidence(project: Project, tmp_path: Path) -> None:
    """Honest ones agree; each figure of the section that is changed is named with its rule."""
    folder = project.folder / "runs" / "texts"
    assert "recomputed submission" in project.run("validate", str(folder / "submission.json")).stdout
    shutil.copy(folder / "evidence.safetensors", tmp_path)
    for place, value in (
        (("optimized", "test", "perplexity"), 1.5),
        (("optimized", "test", "bits_per_byte"), 0.5),
        (("change", "test", "agreement"), 1.0),
        (("change", "validation", "interval"), [0.9, 0.95]),
    ):
        document = json.loads((folder / "submission.json").read_text())
        record = document["language"]
        for part in place[:-1]:
            record = record[part]
        record[place[-1]] = value
        (tmp_path / "submission.json").write_text(json.dumps(document))
        said = project.run("validate", str(tmp_path / "submission.json"), expect=4)
        assert f"language.{'.'.join(place)}" in said.stdout + said.stderr
        assert "R037" in said.stdout + said.stderr


def test_perplexities_are_held_against_each_other(project: Project) -> None:
    """By the losses in the evidence of both; a run against itself has not risen at all."""
    file = "runs/texts/submission.json"
    rows = {change["metric"]: change for change in project.json("compare", file, file)["changes"]}
    assert (rows["perplexity"]["change"], rows["perplexity"]["interval"]) == (1.0, [1.0, 1.0])
    assert "the same windows" in rows["perplexity"]["reason"]
    (decision,) = project.json("gate", file, "--against", file, "--max-rise", "0%")["decisions"]
    assert (decision["name"], decision["outcome"]) == ("rise", "passed")


def test_exports_for_images_say_so(project: Project) -> None:
    """A language model is no ONNX graph of ours yet."""
    pytest.importorskip("onnx")
    said = project.run("export", "onnx", "runs/texts", "--out", "onnx", expect=(1, 2))
    assert "knows networks for images only" in said.stderr
