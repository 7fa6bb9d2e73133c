"""Completion in the shells themselves: real bash, and zsh, fish and powershell where they are installed."""

from __future__ import annotations

import importlib.util
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS
from pipeline.cli.main import main
from tests.project import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("shtab") is None, reason="shtab is not installed")

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_pipeline
printf '%s\\n' "${COMPREPLY[@]}"
"""


@cache
def script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "completion", shell], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an experiment, a run and the scripts."""
    (tmp_path / "runs/first").mkdir(parents=True)
    (tmp_path / "experiments").mkdir()
    for name in ("experiments/first.yaml", "experiments/first.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


def in_bash(folder: Path, *words: str) -> set[str]:
    (folder / "script").write_text(script("bash"))
    command = [needs("bash"), "--norc", "-c", BASH, "bash", "./script", "pipeline", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    return set(filter(None, done.stdout.split("\n")))


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("comp",), {"compare", "competition", "completion"}),
        (("run", "--exec"), {"--executor"}),
        (("run", "--executor", ""), {"dask", "inline", "processes"}),
        (("run", "experiments/f"), {"experiments/first.yaml"}),
        (("paper", ""), {"first"}),
        (("export", "on"), {"onnx"}),
        (("store", "g"), {"gc"}),
        (("plan", "x.yaml", "--until", "ev"), {"evaluate"}),
        (("schema", "print", "sub"), {"submission.v1", "submission.v2"}),
        (("init", "--example", "smo"), {"smoke"}),
        (("explain", "E10"), {f"E10{digit}" for digit in range(9)}),
    ],
)
def test_bash_completes(folder: Path, words: tuple[str, ...], completed: set[str]) -> None:
    """Commands, options, their values, files of the right kind and names of runs."""
    assert in_bash(folder, *words) >= completed
    assert "experiments/first.txt" not in in_bash(folder, *words)


def test_every_command_is_completed(folder: Path) -> None:
    """None is missing in bash."""
    assert in_bash(folder, "") >= COMMANDS.keys()


def test_fish_completes(folder: Path) -> None:
    """As fish itself says when it is asked."""
    (folder / "script").write_text(script("fish"))
    ask = 'source script; complete -C "pipeline comp"; complete -C "pipeline paper "; complete -C "pipeline export on"'
    done = subprocess.run([needs("fish"), "-N", "-c", ask], cwd=folder, capture_output=True, text=True, timeout=120)
    words = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert done.stderr == ""
    assert {"compare", "competition", "completion", "first", "onnx"} <= words


def test_zsh_completes(folder: Path) -> None:
    """A word that is begun at the prompt is ended by the tab key."""
    (folder / "_pipeline").write_text(script("zsh"))
    setup = 'fpath=($PWD $fpath); autoload -U compinit; compinit -u -d dump; pipeline() { print -r -- "<$*>" }\n'
    shown = typed([needs("zsh"), "-f", "-i"], folder, setup, "pipeline complet\t \n", "<completion")
    assert "<completion" in shown


def typed(command: list[str], folder: Path, setup: str, keys: str, wanted: str) -> str:
    """Type into a shell on a terminal; return what it showed, at the latest when what is wanted is there."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(command[0], command, {**os.environ, "TERM": "dumb", "PS1": "ready> ", "HOME": str(folder)})
    shown, waiting = "", [("ready> ", setup), ("ready> ", keys), (wanted, "exit\n")]
    end = time.monotonic() + 120
    while waiting and time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                break
        signal, text = waiting[0]
        if signal in shown:
            os.write(terminal, text.encode())
            waiting.pop(0)
            shown = shown if signal == wanted else ""
    os.close(terminal)
    os.waitpid(process, 0)
    return shown


def test_powershell_has_a_completer() -> None:
    """The script registers one, and powershell can read it where it is installed."""
    assert "Register-ArgumentCompleter" in script("powershell")
    path = needs("pwsh")
    done = subprocess.run([path, "-NoProfile", "-Command", "-"], input=script("powershell"), text=True, timeout=120)
    assert done.returncode == 0


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    assert main(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish', 'powershell'" in capsys.readouterr().err
