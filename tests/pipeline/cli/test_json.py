"""With --json, stdout holds exactly one document, whatever is asked for and wherever the option stands."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.measure.gauge import read_gauges
from pipeline.measure.quantities import QUANTITIES
from pipeline.measure.quiet import Place
from tinytorch.kernels import instructions


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, json.loads(captured.out)


@pytest.mark.parametrize(
    "arguments",
    [["--help", "--json"], ["--json"], ["--json", "-h"], ["run", "--json", "-h"], ["plan", "--help", "--json"]],
    ids=" ".join,
)
def test_help_is_a_document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Also when it is asked for in passing."""
    code, answer = document(capsys, *arguments)
    assert code == 0
    assert answer["help"].startswith("usage: pipeline")


def test_the_version_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the package's."""
    assert set(document(capsys, "--version", "--json")[1]) == {"version"}


def test_the_option_may_stand_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is typed does not matter."""
    assert document(capsys, "--json", "explain", "E114") == document(capsys, "explain", "E114", "--json")


def test_what_stands_behind_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    """A code called --json is unknown, and is answered as text."""
    assert main(["explain", "--", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no error or rule has the code --JSON" in captured.err


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    """`--js` would be taken for --json by one half of the program only."""
    assert main(["explain", "--js"]) == 2
    assert "unrecognized arguments: --js" in capsys.readouterr().err


BAD = [
    ["explain", "E999"],
    ["explain", "\x1b[31m"],
    ["schema", "path", "nonsense"],
    ["schema", "nonsense"],
    ["list", "nonsense"],
    ["list"],
    ["init", "x.txt"],
    ["init", "file/x.yaml"],
    ["init", "x.yaml", "--example", "nonsense"],
    ["show", "nonsense"],
    ["plan"],
    ["plan", "folder"],
    ["plan", "file", "--set", "x"],
    ["run", "missing.yaml"],
    ["run", "file", "--nonsense"],
    ["why", "missing.yaml", "train"],
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_exit_code_2_as_text_and_as_a_document(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same message in both, no traceback and no control character in either."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("name: x\n")
    Path("folder").mkdir()
    code, answer = document(capsys, *arguments, "--json")
    assert main(arguments) == code == answer["error"]["exit_code"] == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error")
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.err
    assert set(answer["error"]) == {"code", "exit_code", "message", "hint", "problems"}


UNUSABLE = [["run", "x.yaml"], ["plan", "x.yaml"], ["why", "x.yaml", "train"]]


@pytest.mark.parametrize("arguments", UNUSABLE, ids=" ".join)
def test_a_store_that_is_a_file_is_an_environment_problem(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 6, and what to do about it."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "x.yaml"]) == 0
    capsys.readouterr()
    code, answer = document(capsys, *arguments, "--store", "x.yaml", "--json")
    assert code == answer["error"]["exit_code"] == 6
    assert "--store" in answer["error"]["message"] + answer["error"]["hint"]


def test_doctor_sees_that_a_store_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is no folder, although it can be written to."""
    file = tmp_path / "file"
    file.touch()
    code, answer = document(capsys, "doctor", "--store", str(file), "--json")
    assert code == 6
    assert [row["status"] for row in answer["checks"] if row["what"] == "store"] == ["missing"]


def test_explain_takes_all_codes_of_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line below the problems of a file can be pasted as it is."""
    assert main(["explain", "E114", "e111", "E114"]) == 0
    assert [line[:5] for line in capsys.readouterr().out.splitlines() if line.startswith("E")] == ["E114:", "E111:"]


def test_doctor_tells_what_is_measured_besides_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Energy, counters and clock each have a line: measured, or why this machine does not offer it."""
    _, answer = document(capsys, "doctor", "--json")
    found = {check["what"]: check for check in answer["checks"]}
    for what in QUANTITIES.values():
        assert (found[what]["status"], found[what]["found"].partition(":")[0]) in {
            ("ok", "measured"),
            ("note", "not measured"),
        }


def test_doctor_tells_whether_a_core_is_free(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark that began now would wait, if it is not; gauges that this system lacks are named."""
    missing = dataclasses.replace(read_gauges(), missing={"pressure": "/proc/pressure/cpu: No such file or directory"})
    monkeypatch.setattr("pipeline.cli.doctor.read_gauges", lambda: missing)
    for place, status in [(Place((1,), 0.1, 0.0), "ok"), (Place((1,), 0.9, 0.0), "note")]:
        monkeypatch.setattr("pipeline.cli.doctor.idlest", lambda count, place=place: place)
        found = {check["what"]: check for check in document(capsys, "doctor", "--json")[1]["checks"]}
        assert (found["free core"]["status"], found["free core"]["found"]) == (status, str(place))
        assert found["pressure"]["found"] == "not readable: /proc/pressure/cpu: No such file or directory"


def test_doctor_names_the_kernels_that_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Native ones with their compiler, the reference with the reason; what cannot be had is missing."""

    def checks() -> list[dict[str, str]]:
        return document(capsys, "doctor", "--json")[1]["checks"]

    monkeypatch.setenv(instructions.VARIABLE, "reference")
    (row,) = [check for check in checks() if check["what"] == "kernels"]
    assert row["status"] == "note"
    assert row["found"].startswith(f"NumPy, the reference: {instructions.VARIABLE}=reference")
    monkeypatch.setenv(instructions.VARIABLE, "sse9")
    (row,) = [check for check in checks() if check["what"] == "kernels"]
    assert (row["status"], "avx512vnni" in row["found"]) == ("missing", True)
    monkeypatch.delenv(instructions.VARIABLE)
    row = next(check for check in checks() if check["what"] == "kernels")
    assert row["status"] == ("ok" if instructions.isas() else "note")
    monkeypatch.setattr(instructions, "extension", None)
    monkeypatch.setattr(instructions, "_import_error", "no module", raising=False)
    (row,) = [check for check in checks() if check["what"] == "kernels"]
    assert row["found"].endswith("with a C compiler, python -m tinytorch.kernels.build_native builds them")
