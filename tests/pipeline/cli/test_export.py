"""The table of export targets, and what its command refuses before anything runs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.export import TARGETS
from pipeline.cli.main import main

SAMPLE = Path(__file__).parents[1] / "report" / "submission.json"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run folder with a valid submission."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"experiment": "x", "nodes": []}')
    (folder / "submission.json").write_bytes(SAMPLE.read_bytes())
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_its_module(name: str) -> None:
    """A line of the table names a file of pipeline/export that can be asked for arguments and for the export."""
    module = importlib.import_module(f"pipeline.export.{name}")
    assert {"configure", "send" if TARGETS[name].is_sent else "export"} <= set(module.__all__)


def test_help_imports_no_numpy() -> None:
    """The arguments of all targets are known without what the exports need."""
    code = (
        "import sys; from pipeline.cli.main import main; main(['export', 'mlperf', '--help']); "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=SAMPLE.parents[3]).returncode == 0


@pytest.mark.parametrize("kind", ["full", "file", "link"])
def test_only_a_new_or_empty_folder_is_written(
    run_folder: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files, links and folders with something in them are left as they are."""
    pytest.importorskip("mlperf_loadgen")
    out = tmp_path / "out"
    if kind == "full":
        out.mkdir()
        (out / "mine").write_text("keep")
    elif kind == "file":
        out.write_text("keep")
    else:
        out.symlink_to(run_folder)
    store = str(tmp_path / "store")
    assert main(["export", "mlperf", str(run_folder), "--out", str(out), "--store", store]) == 2
    assert str(out) in capsys.readouterr().err
    assert sorted(path.name for path in run_folder.iterdir()) == ["run.json", "submission.json"]


def test_a_run_without_a_submission_is_refused(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to export of a run that ended early."""
    pytest.importorskip("mlperf_loadgen")
    (run_folder / "submission.json").unlink()
    assert main(["export", "mlperf", str(run_folder), "--out", str(tmp_path / "out")]) == 2
    assert "has no submission" in capsys.readouterr().err
