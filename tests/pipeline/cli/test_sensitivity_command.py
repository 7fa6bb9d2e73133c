"""`pipeline sensitivity` end to end: table, files, cache and errors."""

from __future__ import annotations

import json

import pytest

from tests.project import Project, copy_project

FILE = """
name: tiny
data: {name: synthetic, args: {size: 4, classes: 3, train: 60, validation: 20, test: 20}}
model: {arch: mlp, args: {hidden: [8]}, train: {epochs: 1}}
optimize: [{quantize: {bits: 8}}]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy_project(tmp_path_factory.mktemp("sensitivity"))
    (made.folder / "tiny.yaml").write_text(FILE)
    return made


def test_the_figures_and_the_picture_are_written(project: Project) -> None:
    """Every layer with weights has a trial for every change, and both files are there."""
    found = project.json("sensitivity", "tiny.yaml", "--prune", "0.5", "--quantize", "4")
    tried = {(trial["layer"], trial["change"]) for trial in found["trials"]}
    assert tried == {(layer, change) for layer in ("fc1", "fc_out") for change in ("prune 0.5", "bits 4")}
    assert (project.folder / "runs/tiny/sensitivity.svg").read_text().startswith("<svg")
    written = json.loads((project.folder / "runs/tiny/sensitivity.json").read_text())
    assert written["trials"] == found["trials"]


def test_asked_again_nothing_is_computed(project: Project) -> None:
    """The same question is answered from the store."""
    asked = ("sensitivity", "tiny.yaml", "--prune", "", "--quantize", "8")
    project.run(*asked)
    assert " ran " not in project.run(*asked).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--prune", "1.5"), "--prune takes shares between 0 and 1, not '1.5'"),
        (("--quantize", "3"), "--quantize takes 8 or 4, not '3'"),
        (("--targets", "conv*"), "'conv*' matches no layer"),
        (("--prune", "", "--quantize", ""), "nothing to try"),
    ],
)
def test_what_means_nothing_is_refused(project: Project, words: tuple[str, ...], told: str) -> None:
    """Exit code 2 and one line, no traceback."""
    answer = project.run("sensitivity", "tiny.yaml", *words, expect=2)
    assert told in answer.stderr
    assert "Traceback" not in answer.stderr
