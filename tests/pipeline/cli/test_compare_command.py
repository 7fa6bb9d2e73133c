"""`pipeline compare` and `pipeline gate` from files and runs: tables, documents and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.submission.accuracy_change import answers_of
from tests.project import Project

SAMPLE = Path(__file__).parents[1] / "report" / "submission.json"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a committed baseline and a run that is half as fast."""
    monkeypatch.chdir(tmp_path)
    document = json.loads(SAMPLE.read_bytes())
    write(tmp_path / "baseline.json", document)
    slow(document)
    document["experiment"]["document"]["seeds"] = [9]
    write(tmp_path / "runs/sample/submission.json", document)
    (tmp_path / "runs/sample/run.json").write_text("{}")
    return tmp_path


def slow(document: dict[str, Any], factor: float = 0.5) -> None:
    for record in (document["comparisons"]["speed"], document["benchmark"]["comparisons"][0]):
        record["speedup"]["estimate"] *= factor
        record["speedup"]["interval"] = [bound * factor for bound in record["speedup"]["interval"]]
    document["provenance"]["samples"] = "7" * 64


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def test_a_run_is_compared_by_its_name(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The differing key, the figures and the verdict are there."""
    assert main(["compare", "baseline.json", "sample"]) == 0
    shown = capsys.readouterr().out
    assert "runs/sample/submission.json" in shown
    assert "seeds" in shown
    assert "slower; ratio of two independent ratios" in " ".join(shown.split())
    assert "5" * 13 not in shown


def test_the_comparison_is_a_document(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as in the text, in full precision."""
    assert main(["compare", "baseline.json", "sample", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    speed = next(change for change in document["changes"] if change["metric"] == "speed-up")
    assert speed["change"] == pytest.approx(0.5)
    assert {"path": "seeds", "second": [9]} in document["experiment"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--max-growth", "1%"), 0, ""),
        (("--max-slowdown", "5%", "--max-growth", "1%"), 3, "gate broken: slowdown (exit code 3)"),
        (("--max-slowdown", "99%"), 0, "inconclusive: slowdown"),
        (("--max-slowdown", "99%", "--strict"), 3, "inconclusive, and --strict: slowdown"),
        (("--max-growth", "1%", "--max-rise", "1%"), 3, "not comparable: rise (exit code 3)"),
    ],
)
def test_the_gate_says_by_its_exit_code(
    files: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, told: str
) -> None:
    """0, or 3 and what is broken."""
    assert main(["gate", "sample", "--against", "baseline.json", *words]) == code
    assert told in capsys.readouterr().err


def test_a_noisy_run_is_neither_kept_nor_broken(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the exit code of noise, in the document, too."""
    document = json.loads((files / "runs/sample/submission.json").read_bytes())
    document["comparisons"]["speed"]["noisy"] = True
    write(files / "noisy.json", document)
    assert main(["gate", "noisy.json", "--against", "baseline.json", "--max-slowdown", "5%", "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["exit_code"] == 5


def test_another_processor_is_noted(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ratio of two models' times may be another one there; only speed depends on it."""
    document = json.loads(SAMPLE.read_bytes())
    document["machine"]["cpu"] = "Other CPU\x1b[2J"
    write(files / "other.json", document)
    assert main(["gate", "other.json", "--against", "baseline.json", "--max-slowdown", "5%"]) == 0
    assert "note: another processor: Other CPU\ufffd[2J, and of the baseline " in capsys.readouterr().out
    assert main(["gate", "other.json", "--against", "baseline.json", "--max-growth", "5%"]) == 0
    assert "note" not in capsys.readouterr().out


def test_a_run_is_held_against_itself(finished: Project) -> None:
    """A real one, with its evidence: nothing changed."""
    baseline = "runs/smoke/submission.json"
    limits = ("--max-slowdown", "0%", "--max-drop", "0%", "--max-growth", "0%")
    finished.run("gate", "smoke", "--against", baseline, *limits)
    document = json.loads((finished.folder / baseline).read_bytes())
    found = answers_of(document, finished.folder / "runs/smoke")
    assert found is not None
    assert found.right.sum() == document["accuracy"]["optimized"]["test"]["correct"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "no limit is given that it could break"),
        (("--max-slowdown", "5"), "a share such as 5% or 0.05"),
        (("--max-drop", "nan"), "a share such as 5% or 0.05"),
        (("--max-drop", "1" * 400), "a share such as 5% or 0.05"),
        (("--max-growth", "-1%"), "expected one argument"),
    ],
)
def test_limits_that_mean_nothing_are_refused(
    files: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    """Exit code 2, and how a limit is written."""
    assert main(["gate", "sample", "--against", "baseline.json", *words]) == 2
    assert told in capsys.readouterr().err


def test_the_nearest_run_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name, a file that is not there, and a run without a result."""
    assert main(["compare", "baseline.json", "sampel"]) == 2
    assert "did you mean 'sample'?" in capsys.readouterr().err
    assert main(["compare", "baseline.json", "nothing.json"]) == 2
    assert "nothing.json: cannot be read" in capsys.readouterr().err
    (files / "runs/sample/submission.json").unlink()
    assert main(["compare", "baseline.json", "sample"]) == 2
    assert "the run 'sample' has no submission" in capsys.readouterr().err


def test_the_courses_format_is_not_compared(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no intervals."""
    document = json.loads(SAMPLE.read_bytes())
    first = ("tinytorch_version", "submission_type", "timestamp", "system_info", "baseline")
    write(files / "course.json", {key: document[key] for key in first})
    assert main(["compare", "baseline.json", "course.json"]) == 2
    assert "in the course's format (version 1) or migrated from it, which has no intervals" in capsys.readouterr().err
