"""The command line: exit codes, one document with --json, messages on stderr, and every command once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline.cli import COMMANDS
from pipeline.cli.main import main
from tests.project import ROOT, Project

SMOKE = "experiments/smoke.yaml"
BAD = "name: bad\ndata: {name: digits}\nmodel: {arch: mlp}\noptimize:\n  - prune: {sparsity: 1.5}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` is the table of commands."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown and summary.split()[0] in shown for name, summary in COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`pipeline COMMAND --help` explains the command and ends well."""
    assert main([command, "--help"]) == 0
    assert f"usage: pipeline {command}" in capsys.readouterr().out


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo is bad input (2) with a suggestion."""
    assert main(["rnu"]) == 2
    assert "did you mean 'run'?" in capsys.readouterr().err


def test_a_missing_argument_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what is missing and how the command is used."""
    assert main(["run"]) == 2
    message = capsys.readouterr().err
    assert "FILE" in message
    assert "usage: pipeline run" in message


@pytest.mark.parametrize(
    "arguments",
    [["rnu", "--json"], ["run", "--json"], ["run", "missing.yaml", "--json"], ["explain", "E0", "--json"]],
    ids=["unknown command", "missing argument", "missing file", "unknown code"],
)
def test_an_error_is_one_json_document_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --json, errors are documents, too, with code and exit code; stderr stays empty."""
    monkeypatch.chdir(tmp_path)
    code = main(arguments)
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["exit_code"] == code == 2
    assert error["code"].startswith("E")
    assert captured.err == ""


def test_a_bad_file_shows_place_and_caret_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, line, column, the line itself, and what was expected."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("bad.yaml").write_text(BAD)
    assert main(["run", "bad.yaml"]) == 2
    message = capsys.readouterr().err
    assert "error: bad.yaml:5:23  optimize[0].prune.sparsity" in message
    assert "^^^ must be at least 0 and below 1, not 1.5" in message
    assert "Traceback" not in message


def test_the_answer_to_json_is_one_document(project: Project) -> None:
    """Each command that only reads prints a document that parses."""
    for arguments in (
        ["plan", SMOKE],
        ["validate", SMOKE],
        ["why", SMOKE, "train"],
        ["show", "smoke"],
        *(["list", kind] for kind in ("models", "data", "passes", "stages")),
        ["doctor"],
        ["schema", "print", "experiment.v1"],
        ["explain", "E100"],
        ["run", SMOKE],
    ):
        assert isinstance(project.json(*arguments), dict), arguments


def test_why_lists_what_a_key_is_made_of(project: Project) -> None:
    """Parameters, inputs, code modules and environment of the node are named."""
    (node,) = project.json("why", SMOKE, "quantize")["nodes"]
    assert node["status"] == "cached"
    assert node["params"]["params"]["bits"] == 8
    assert "tinytorch.passes.quantize" in node["modules"]
    assert "tinytorch.passes.finetune" not in node["modules"]
    assert {"python", "numpy", "blas", "simd"} <= node["environment"].keys()


def test_a_measuring_node_depends_on_the_machine_and_the_worker(project: Project) -> None:
    """A timing is not taken from another machine, nor from another way of timing."""
    (node,) = project.json("why", SMOKE, "benchmark")["nodes"]
    assert "machine" in node["environment"]
    assert "pipeline.measure.worker" in node["modules"]
    assert "pipeline.measure.harness" in node["modules"]


def test_show_prints_the_stored_result(project: Project) -> None:
    """The table of a former run comes back without computing anything."""
    shown = project.run("show", "smoke", "--nodes").stdout
    assert "baseline" in shown
    assert "train mlp" in shown


def test_show_suggests_the_nearest_run(project: Project) -> None:
    """An unknown name is bad input with a suggestion."""
    assert "did you mean 'smoke'?" in project.run("show", "smok", expect=2).stderr


@pytest.mark.parametrize("name", ["mine", "123", "null", "a-b.c"])
def test_init_names_the_experiment_after_its_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its results do not overwrite those of the example that it was copied from."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", f"{name}.yaml"]) == 0
    assert yaml.safe_load(Path(f"{name}.yaml").read_text())["name"] == name
    assert main(["validate", f"{name}.yaml"]) == 0


def test_init_writes_a_valid_file_and_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The starter file passes `validate`; a second `init` refuses, unless forced."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine.yaml"]) == 0
    assert main(["validate", "mine.yaml"]) == 0
    assert main(["init", "mine.yaml"]) == 2
    assert main(["init", "mine.yaml", "--force"]) == 0


def test_validate_checks_every_file_and_exits_with_the_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A valid file beside a bad one is still reported as valid."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD)
    assert main(["validate", str(ROOT / SMOKE), str(bad)]) == 2
    shown = capsys.readouterr().out
    assert "smoke.yaml: valid experiment" in shown
    assert "optimize[0].prune.sparsity" in shown


def test_an_invalid_submission_has_its_own_exit_code(project: Project) -> None:
    """A submission that breaks its schema exits with 4 and names the path."""
    path = project.folder / "runs/smoke/submission.json"
    document = json.loads(path.read_text())
    document["baseline"]["metrics"]["accuracy"] = "98 %"
    path.write_text(json.dumps(document))
    assert "baseline.metrics.accuracy" in project.run("validate", str(path), expect=4).stdout


def test_a_missed_goal_has_its_own_exit_code(project: Project) -> None:
    """The run ends with 3 and still writes everything."""
    with (project.folder / SMOKE).open("a") as file:
        file.write("goals:\n  - {metric: compression, at_least: 1000}\n")
    project.run("run", SMOKE, expect=3)
    assert (project.folder / "runs/smoke/submission.json").exists()


def test_a_missing_dataset_is_one_line(project: Project) -> None:
    """Path, what was found and what was expected; bad input, no traceback."""
    stderr = project.run("run", "experiments/mnist.yaml", expect=2).stderr
    assert "data/mnist" in stderr
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) <= 2


def test_a_failing_step_is_one_line_and_keeps_what_was_done(project: Project) -> None:
    """A stage's failure exits with 1 or 2, names the node, and the record holds the traceback."""
    project.edit(
        "tinytorch/passes/quantize.py",
        "    wanted = wanted_settings(",
        "    raise RuntimeError('it broke')\n    wanted = wanted_settings(",
    )
    stderr = project.run("run", SMOKE, expect=1).stderr
    assert "optimize quantize bits=8: RuntimeError: it broke" in stderr
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    (failed,) = [node for node in record["nodes"] if node["outcome"] == "failed"]
    assert "Traceback" in failed["error"]


def test_colour_only_on_a_terminal(project: Project) -> None:
    """Output that is piped holds no escape sequences."""
    assert "\x1b" not in project.run("run", SMOKE).stdout


def test_a_narrow_terminal_is_respected(project: Project) -> None:
    """Result lines fit into 60 columns unless a single word is longer."""
    environment = {**os.environ, "PYTHONPATH": str(project.folder), "COLUMNS": "60"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "show", "smoke"],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert max(len(line) for line in done.stdout.splitlines()) <= 60


def test_a_reader_that_goes_away_is_no_error(project: Project) -> None:
    """`pipeline ... | head -1` ends quietly."""
    command = f"{sys.executable} -m pipeline schema print submission.v2 | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_two_interrupts_end_at_once_with_130_and_keep_what_is_done(project: Project) -> None:
    """Ctrl-C twice in the benchmark ends it at once and leaves training and optimization in the store."""
    command = [sys.executable, "-m", "pipeline", "run", SMOKE, "--set", "model.train.epochs=3"]
    command += ["--set", "benchmark.budget_s=60", "--set", "benchmark.target_ci=0.00001"]
    environment = {**os.environ, "PYTHONPATH": str(project.folder)}
    running = subprocess.Popen(
        command, cwd=project.folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "evaluate optimized" in line:
            break
    while '"label": "benchmark optimized"' not in (project.folder / "runs/smoke/events.jsonl").read_text():
        assert running.poll() is None, "it ended by itself"
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGINT)
    for line in running.stderr:
        if "again to stop at once" in line:
            break
    os.kill(running.pid, signal.SIGINT)
    rest = running.communicate(timeout=300)[1]
    assert running.returncode == 130, rest
    assert "what was finished is kept" in rest
    nodes = project.json("plan", SMOKE, "--set", "model.train.epochs=3")["nodes"]
    assert [n["status"] for n in nodes if n["node"].startswith(("train", "optimize"))] == ["cached"] * 3


@pytest.mark.parametrize("words", [("report",), ("verify",), ("status",), ("compare", "b")])
def test_a_path_that_no_file_can_have_is_the_users(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """No bug of ours."""
    assert main([*words, "a" * 5000]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error E200")
    assert "Traceback" not in shown
