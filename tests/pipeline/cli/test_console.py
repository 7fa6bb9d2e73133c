"""What is written to: encodings, closed streams, colour, width, and readers that go away."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from pipeline.cli.console import columns, has_colour, is_live, open_streams, safe
from pipeline.cli.main import main
from tests.project import Project

SMOKE = "experiments/smoke.yaml"


def run(project: Project, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's command line in which $P is `python -m pipeline`."""
    variables = {**os.environ, "PYTHONPATH": str(project.folder), "P": f"{sys.executable} -m pipeline", **environment}
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    command = f"set -e; {command}"
    return subprocess.run(
        ["bash", "-c", command], cwd=project.folder, env=variables, capture_output=True, encoding=encoding, timeout=300
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_encoding_will_do(encoding: str, project: Project) -> None:
    """Signs that it does not have are spelled out; nothing fails."""
    commands = ("show smoke", f"plan {SMOKE} --set model.train.epochs=3", f"run {SMOKE}", "plan --help", "doctor")
    done = run(project, "; ".join(f"$P {command}" for command in commands), PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")


def test_signs_are_spelled_so_that_they_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro seconds stay micro seconds; what has no spelling is a question mark."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    open_streams()
    sys.stdout.write("43.1 µs ± 2, 8 × 8 → 4 … – − ü \udcff\n")
    sys.stdout.flush()
    assert raw.getvalue() == b"43.1 us +- 2, 8 x 8 -> 4 ... - - ? ?\n"


@pytest.mark.parametrize("command", ["--help", f"run {SMOKE}", "explain E114 --json"])
def test_closed_streams_are_no_error(command: str, project: Project) -> None:
    """A service may start without any."""
    assert run(project, f"$P {command} >&-; $P {command} 2>&-; $P {command} >&- 2>&-").returncode == 0


@pytest.mark.parametrize("command", ["--help", f"run {SMOKE}", "explain E114 --json"])
def test_a_full_disk_behind_stdout_is_an_environment_problem(command: str, project: Project) -> None:
    """What cannot be written is no success."""
    done = run(project, f"$P {command} >/dev/full")
    assert done.returncode == 6
    assert done.stderr == "error E700: the output cannot be written: No space left on device\n"


def test_a_reader_of_messages_that_goes_away_does_not_stop_the_run(project: Project) -> None:
    """`2>&1 | head -1` must not end training half-way."""
    run(project, f"$P run {SMOKE} --set model.train.epochs=3 2>&1 >/dev/null | true")
    nodes = project.json("plan", SMOKE, "--set", "model.train.epochs=3")["nodes"]
    assert {node["status"] for node in nodes} == {"cached"}


def test_colour_needs_a_terminal_that_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, a dumb terminal and NO_COLOR get none."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not has_colour()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert has_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colour()
    assert not is_live(Terminal())


@pytest.mark.parametrize("width", ["0", "20", "abc"])
def test_every_width_will_do(width: str, project: Project) -> None:
    """Narrow terminals get narrow lines, and nonsense is ignored."""
    commands = ("show smoke", f"plan {SMOKE}", f"why {SMOKE}", "list data", "explain", "run --help")
    done = run(project, "; ".join(f"$P {command}" for command in commands), COLUMNS=width)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_width_is_that_of_the_terminal_or_100(monkeypatch: pytest.MonkeyPatch) -> None:
    """$COLUMNS wins."""
    monkeypatch.setenv("COLUMNS", "73")
    assert columns() == 73


def test_control_characters_are_made_visible() -> None:
    """Tabs and line breaks are layout."""
    assert safe("a\x1b[2J\tb\nc\u202e\x9b\x00") == "a\ufffd[2J\tb\nc\ufffd\ufffd\ufffd"


INTERRUPTED_IMPORT = """
import sys
module = sys.argv.pop(1)
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder)
from pipeline.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["pipeline.cli.main", "argparse", "pipeline.cli.list", "numpy"])
def test_an_interrupt_while_starting_is_quiet(module: str, project: Project) -> None:
    """Ctrl-C exits with 130 and without a traceback, also while modules are imported."""
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, module, "list", "models"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_is_one_document_with_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130, and no half answer."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupted_in_making_a_class(*_: object) -> None:
        type("Made", (), {"name": type("Named", (), {"__set_name__": interrupted})()})

    for run_interrupted in (interrupted, interrupted_in_making_a_class):
        monkeypatch.setattr("pipeline.cli.explain.run", run_interrupted)
        assert main(["explain", "E114", "--json"]) == 130
        assert '"code": "E130"' in capsys.readouterr().out
