"""`pipeline paper`: what it writes of a run, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from tests.project import ROOT, Project

ABLATION = ROOT / "tests/pipeline/report/ablation.json"


def test_a_run_becomes_a_report_beside_it(finished: Project, tmp_path: Path) -> None:
    """It names the submission that it was made from, and the nodes behind the figures."""
    target = tmp_path / "paper.md"
    answer = finished.json("paper", "smoke", "--out", str(target))
    text = target.read_text()
    digest = hashlib.sha256((finished.folder / "runs/smoke/submission.json").read_bytes()).hexdigest()
    assert answer["files"]["md"] == str(target)
    assert answer["trust"] == "recomputed"
    for name in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (tmp_path / name).read_text().startswith("<svg")
    assert f"SHA-256 `{digest}`" in text
    assert "| raw samples | " in text
    assert "| benchmark optimized | " in text


def test_an_ablation_of_other_models_is_left_out(project: Project) -> None:
    """A file that was left there or put there is not taken for the run's own; that is said."""
    shutil.copy(ABLATION, project.folder / "runs/smoke/ablation.json")
    done = project.run("paper", "smoke")
    assert "is of other models than the submission" in done.stderr
    assert "`pipeline ablate FILE` does" in (project.folder / "runs/smoke/paper/REPORT.md").read_text()


def test_a_changed_ablation_is_refused(project: Project) -> None:
    """With the place in it that is wrong."""
    document = json.loads(ABLATION.read_text())
    document["steps"][0]["alone"]["size"]["ratio"] = "large"
    (project.folder / "runs/smoke/ablation.json").write_text(json.dumps(document))
    done = project.run("paper", "smoke", expect=4)
    assert "runs/smoke/ablation.json  steps[0].alone.size.ratio" in done.stderr
    assert 'found "large", expected a number' in done.stderr


def test_a_tampered_submission_is_no_report(project: Project) -> None:
    """Figures that do not follow from the evidence are not written up."""
    path = project.folder / "runs/smoke/submission.json"
    document = json.loads(path.read_text())
    document["comparisons"]["speed"]["speedup"]["estimate"] *= 2
    path.write_text(json.dumps(document))
    assert "R0" in project.run("paper", "smoke", expect=4).stderr
    assert not (project.folder / "runs/smoke/paper/REPORT.md").exists()


def test_what_cannot_be_done_is_said(finished: Project, tmp_path: Path) -> None:
    """A run that is not there, with the nearest one; a file that cannot be written."""
    assert "did you mean 'smoke'?" in finished.run("paper", "smok", expect=2).stderr
    (tmp_path / "file").write_text("")
    done = finished.run("paper", "smoke", "--out", str(tmp_path / "file" / "x.md"), expect=6)
    assert "name another file with --out" in done.stderr
