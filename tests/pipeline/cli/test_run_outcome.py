"""What a run ends with: exit codes by goals and noise, the files that were asked for, and what is in the way."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.run import verdicts
from tests.project import Project
from tinytorch.kernels import native

SMOKE = "experiments/smoke.yaml"
SAMPLE = json.loads((Path(__file__).parents[1] / "report" / "submission.json").read_text(encoding="utf-8"))


def outcome(*statuses: str, noisy: bool = False, lacking: tuple[str, ...] = ()) -> tuple[list[int], str]:
    submission = copy.deepcopy(SAMPLE)
    submission["constraints"] = [{**SAMPLE["constraints"][0], "status": status} for status in statuses]
    submission["measurement"]["noisy"] = noisy
    found = list(verdicts(submission, lacking))
    return [code for code, _ in found], "\n".join(message for _, message in found)


def test_a_run_that_keeps_its_goals_has_nothing_to_say() -> None:
    """Exit code 0 and no message."""
    assert outcome("met", "met") == ([], "")


def test_a_missed_goal_comes_first() -> None:
    """Noise may go away, a missed goal of size does not; what is undecided is said as well."""
    codes, text = outcome("met", "not_met", "inconclusive", noisy=True, lacking=("html",))
    assert codes == [3, 5, 0, 6]
    assert text.splitlines()[0] == "1 of 3 goals not met (exit code 3)"
    assert "1 of 3 goals inconclusive" in text


def test_noise_is_an_exit_code_of_its_own() -> None:
    """Whatever the goals: a claim about speed is what a benchmark is for."""
    codes, text = outcome("met", noisy=True)
    assert codes == [5]
    assert "--fresh" in text


def test_an_undecided_goal_is_no_failure() -> None:
    """It is said clearly."""
    assert outcome("inconclusive") == ([0], "1 of 1 goal inconclusive: neither shown to be met nor to be missed")


def test_an_entry_is_pointed_to_its_competition() -> None:
    """How it stands is another command's answer."""
    submission = copy.deepcopy(SAMPLE)
    submission["experiment"]["document"]["competition"] = "tiny_digits"
    assert any("in the competition tiny_digits" in message for _, message in verdicts(submission))


def add(project: Project, text: str) -> None:
    with (project.folder / SMOKE).open("a") as file:
        file.write(text)


def test_goals_decide_the_exit_code_of_a_run(project: Project) -> None:
    """A bound at the measured accuracy is inside its interval; one out of reach is missed. The files are written."""
    measured = json.loads((project.folder / "runs/smoke/submission.json").read_text())
    accuracy = measured["optimized"]["metrics"]["accuracy"]
    add(project, f"goals:\n  - {{metric: accuracy, at_least: {accuracy}}}\n")
    done = project.run("run", SMOKE)
    assert "1 of 1 goal inconclusive" in done.stderr
    assert "goal inconclusive: accuracy" in done.stdout
    add(project, "  - {metric: compression, at_least: 1000}\n")
    done = project.run("run", SMOKE, expect=3)
    assert "1 of 2 goals not met (exit code 3)" in done.stderr
    assert "goal not met: compression" in done.stdout
    assert project.json("run", SMOKE, expect=3)["exit_code"] == 3


@pytest.mark.parametrize(
    ("outputs", "written"),
    [
        ("report: []", {"submission.json", "evidence.safetensors"}),
        ("report: [md]", {"submission.json", "evidence.safetensors", "report.md"}),
        ("report: [html]", {"submission.json", "evidence.safetensors", "report.html"}),
        ("submission: none", {"report.html", "report.md"}),
        ("submission: none, report: []", set()),
    ],
)
def test_what_is_asked_for_is_written(outputs: str, written: set[str], project: Project, tmp_path: Path) -> None:
    """No more and no less, whatever an earlier run has written; the result is shown in any case."""
    file = project.folder / SMOKE
    file.write_text("".join(line for line in file.open() if not line.startswith("outputs")))
    add(project, f"outputs: {{{outputs}}}\n")
    (tmp_path / "out").mkdir()
    for name in ("submission.json", "evidence.safetensors", "report.html", "report.md"):
        (tmp_path / "out" / name).write_text("of an earlier run")
    done = project.run("run", SMOKE, "--out", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == written | {"run.json", "events.jsonl"}
    assert "accuracy (test)" in done.stdout


@pytest.mark.skipif(not native.isas(), reason="the native kernels are not built")
def test_c_that_was_edited_and_not_built_is_said(project: Project) -> None:
    """Results are those of the kernels that were built, and what is stored stays valid."""
    project.edit("tinytorch/kernels/native/op.h", "#ifndef", "/* edited */\n#ifndef")
    done = project.run("run", SMOKE)
    assert "0 ran" in done.stdout
    assert "the C source of the kernels has changed since they were built" in done.stderr
    assert "python -m tinytorch.kernels.build_native" in done.stderr


WITHOUT = """
import sys
sys.modules["jinja2"] = None
from pipeline.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_missing_extra_costs_its_report_only(project: Project, tmp_path: Path) -> None:
    """Exit code 6 and the pip command; submission, the other report and the table are there."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", WITHOUT, "run", SMOKE, "--out", str(out)]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 6
    assert 'pip install "tinytorch-pipeline[report]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert "accuracy (test)" in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "submission.json",
        "evidence.safetensors",
        "report.md",
        "run.json",
        "events.jsonl",
    }
    project.run("run", SMOKE, "--out", str(out))
    assert (out / "report.html").is_file()


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nothing"])
def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody trains for an hour to learn that the result has no place."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(["init", "x.yaml", "--example", "smoke"]) == 0
    assert main(["run", "x.yaml", "--out", out]) == 6
    captured = capsys.readouterr()
    assert f"results cannot be written to {out}" in captured.err
    assert "choose another folder with --out" in captured.err
    assert "train" not in captured.err


def test_a_run_that_cannot_start_leaves_no_folder(project: Project) -> None:
    """Its dataset is missing, and nothing ran."""
    project.run("run", "experiments/mnist.yaml", expect=2)
    assert not (project.folder / "runs/mnist").exists()


def test_many_failures_do_not_fill_the_screen(project: Project) -> None:
    """Ten are listed, and how many more there are; all of them are in the record."""
    project.edit(
        "tinytorch/passes/quantize.py",
        "    wanted = wanted_settings(",
        "    raise RuntimeError('it broke')\n    wanted = wanted_settings(",
    )
    sweep = "optimize.prune.sparsity=" + ",".join(f"0.{i}" for i in range(11, 25))
    done = project.run("run", SMOKE, "--sweep", sweep, "--quiet", expect=1)
    assert done.stderr.count("it broke") == 10
    assert "4 more" in done.stderr
