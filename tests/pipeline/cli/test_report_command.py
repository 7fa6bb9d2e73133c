"""`pipeline report`: every format of a real run, and what is said where something is missing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, copy_project

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

SMOKE = "experiments/smoke.yaml"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the smallest experiment has run at two points."""
    made = copy_project(tmp_path_factory.mktemp("report"))
    made.run("run", SMOKE, "--sweep", "optimize.quantize.bits=8,4", expect=(0, 5))
    return made


STARTS = {
    "html": b"<!DOCTYPE html>",
    "md": b"# smoke",
    "csv": b"point,",
    "json": b"{",
    "png": b"\x89PNG",
    "pdf": b"%PDF",
}


@pytest.mark.parametrize("kind", [*STARTS, "svg"])
def test_every_format_is_written_beside_the_submission(project: Project, kind: str) -> None:
    """The file is named, and begins as such files do."""
    told = project.json("report", "smoke", "--format", kind)
    content = (project.folder / told["file"]).read_bytes()
    assert told == {"format": kind, "file": f"runs/smoke/report.{kind}", "bytes": len(content)}
    assert content.startswith(STARTS.get(kind, b"<svg"))


def test_the_same_run_gives_the_same_bytes(project: Project) -> None:
    """Pictures, too: nothing of the moment is in them."""
    for kind in ("html", "json", "svg"):
        project.run("report", "smoke", "--format", kind, "--out", f"one.{kind}")
        project.run("report", "smoke", "--format", kind, "--out", f"two.{kind}")
        assert (project.folder / f"one.{kind}").read_bytes() == (project.folder / f"two.{kind}").read_bytes()


def test_the_page_of_a_run_is_the_one_that_the_command_writes(project: Project) -> None:
    """With the curves of its evidence."""
    written = project.folder / "runs/smoke/report.html"
    project.run("report", "smoke", "--format", "html", "--out", "again.html")
    page = (project.folder / "again.html").read_text()
    assert page == written.read_text()
    assert 'data-chart="latency"' in page
    assert 'data-chart="layers"' in page
    assert 'data-chart="step_accuracy"' in page
    assert 'data-chart="loss"' in page


def test_the_table_has_a_row_for_each_point(project: Project) -> None:
    """Figures are plain numbers."""
    rows = list(csv.DictReader(io.StringIO(project.run("report", "smoke", "--format", "csv", "--out", "-").stdout)))
    assert [row["at optimize.quantize.bits"] for row in rows] == ["8", "4"]
    assert sum(row["submitted"] == "yes" for row in rows) == 1
    assert float(rows[1]["stored_bytes"]) < float(rows[0]["stored_bytes"])


def test_without_a_format_the_compact_report_is_printed(project: Project) -> None:
    """As a run prints it."""
    text = project.run("report", "runs/smoke/submission.json").stdout
    assert "accuracy (test)" in text
    assert "2 points" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--format", "pgn"), "did you mean 'png'?"),
        (("--format", "png", "--chart", "stepsize"), "did you mean 'step_size'?"),
        (("--format", "html", "--dark"), "are for pictures"),
        (("--format", "png", "--out", "-"), "name a file with --out"),
        (("--dark",), "need a --format"),
    ],
)
def test_what_does_not_go_together_is_said(project: Project, arguments: tuple[str, ...], expected: str) -> None:
    """Before anything is drawn, with the nearest that is there."""
    assert expected in project.run("report", "smoke", *arguments, expect=2).stderr


def test_evidence_of_another_run_is_not_drawn(project: Project, tmp_path: Path) -> None:
    """The page says why the curves are missing."""
    for name in ("submission.json", "evidence.safetensors"):
        (tmp_path / name).write_bytes((project.folder / "runs/smoke" / name).read_bytes())
    (tmp_path / "evidence.safetensors").write_bytes(b"another")
    document: dict[str, Any] = json.loads(project.run("report", str(tmp_path), "--format", "json", "--out", "-").stdout)
    assert document["not_drawn"]["latency"].endswith("another file than the one that the submission names")
    (tmp_path / "evidence.safetensors").unlink()
    found = project.run("report", str(tmp_path), "--format", "svg", "--chart", "latency", expect=2).stderr
    assert "is not beside the submission" in found
