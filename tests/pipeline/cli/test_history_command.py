"""`pipeline history` over files and folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli.main import main

SAMPLE = Path(__file__).parents[1] / "report" / "submission.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve days of submissions; from the ninth on they are slower, and from the eleventh on larger."""
    monkeypatch.chdir(tmp_path)
    for day in range(1, 13):
        document = json.loads(SAMPLE.read_bytes())
        document["measurement"]["measured_at"] = f"2026-03-{day:02}T00:00:00Z"
        document["provenance"]["samples"] = f"{day:064x}"
        for speed in (document["comparisons"]["speed"], document["benchmark"]["comparisons"][0]):
            estimate = (2.0 if day < 9 else 1.5) * (1 + 0.001 * (day % 3))
            speed["speedup"] |= {"estimate": estimate, "interval": [estimate * 0.99, estimate * 1.01]}
        document["size"]["optimized"]["stored_bytes"] = 4000 if day < 11 else 5000
        (tmp_path / f"{day:02}.json").write_text(json.dumps(document))
    return tmp_path


def test_changes_of_a_folder_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, with both levels and the submissions between which it is."""
    assert main(["history", "."]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("12 submissions\n")
    assert "08.json and 09.json" in shown
    assert "10.json and 11.json" in shown


def test_changes_are_a_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the series that they were found in."""
    assert main(["history", ".", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [change["metric"] for change in document["changes"]] == ["speed-up", "stored size"]
    assert {len(series["values"]) for series in document["series"]} == {12}


def test_too_little_is_said_to_be_too_little(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is named twice counts once."""
    assert main(["history", "01.json", "02.json", "01.json"]) == 0
    shown = capsys.readouterr().out
    assert "no change of level was found" in shown
    assert "has 2 comparable measurements, a step needs 6" in shown


def test_an_empty_folder_has_no_history(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what was looked for."""
    (folder / "empty").mkdir()
    assert main(["history", "empty"]) == 2
    assert "empty: has no submissions" in capsys.readouterr().err


def test_a_damaged_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is no submission ends it: a history with a gap would say something else."""
    (folder / "05.json").write_text("{}")
    assert main(["history", "."]) == 4
    assert "05.json" in capsys.readouterr().err
