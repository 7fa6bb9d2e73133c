"""Print the completion of commands, options and files for a shell: bash, zsh, fish or powershell."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.cli import COMMANDS
from pipeline.cli.answer import Answer
from pipeline.core.errors import EnvironmentProblem
from pipeline.core.explain import EXPLANATIONS
from pipeline.schemas import competition_names, experiment_names, schema_names
from pipeline.stages import STAGES

__all__ = ["configure", "full_parser", "run"]

_EPILOG = """where it goes:
  bash        eval "$(pipeline completion bash)" in ~/.bashrc
  zsh         pipeline completion zsh > FOLDER/_pipeline, where FOLDER is in $fpath
  fish        pipeline completion fish > ~/.config/fish/completions/pipeline.fish
  powershell  pipeline completion powershell | Out-String | Invoke-Expression in $PROFILE
"""

SHELLS = ("bash", "zsh", "fish", "powershell")
_RUNS = "ls runs 2>/dev/null"
_RUNS_POWERSHELL = "Get-ChildItem -Name runs"

# what an argument is called -> its words
_WORDS: Mapping[str, Callable[[], Sequence[str]]] = {
    "CODE": lambda: sorted(EXPLANATIONS),
    "NAME|FILE": competition_names,
    "STAGE": lambda: list(STAGES),
}
# a command, and an argument of it whose name says nothing about its words
_WORDS_OF: Mapping[tuple[str, str], Callable[[], Sequence[str]]] = {
    ("check-pr", "competition"): competition_names,
    ("init", "example"): experiment_names,
    ("schema", "name"): schema_names,
}
_EXPERIMENTS = ("*.yaml", "*.yml")
# what an argument is called -> the patterns of files that it takes, none for all
_FILES: Mapping[str, tuple[str, ...]] = {
    "A": ("*.json",),
    "B": ("*.json",),
    "BASELINE": ("*.json",),
    "FILE": (),
    "FILE|RUN": _EXPERIMENTS,
    "FILE|RUN|KEY": _EXPERIMENTS,
    "PATH": (),
    "SUBMISSION": ("*.json",),
}
_FOLDERS = ("DIR", "DIR|URL", "FOLDER")
_TAKES_EXPERIMENT = ("run", "plan", "sensitivity", "ablate")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the script; raises EnvironmentProblem without shtab."""
    try:
        import shtab
    except ImportError as error:
        raise EnvironmentProblem(
            "completion needs shtab, which is not installed", hint='pip install "tinytorch-pipeline[completion]"'
        ) from error
    if args.shell not in shtab.SUPPORTED_SHELLS:
        raise EnvironmentProblem(
            f"this version of shtab knows no {args.shell}",
            hint='pip install --upgrade "tinytorch-pipeline[completion]"',
        )
    script = shtab.complete(full_parser(shtab), args.shell)
    return Answer(script.rstrip(), {"shell": args.shell, "script": script})


def full_parser(shtab: Any) -> argparse.ArgumentParser:
    """Return a parser of all commands, each of whose arguments knows what completes it, if anything does."""
    parser = argparse.ArgumentParser(prog="pipeline")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers()
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        command.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        importlib.import_module(f"pipeline.cli.{name.replace('-', '_')}").configure(command)
        for action in _actions(command):
            _teach(action, name, shtab)
    return parser


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a command and of its own commands that take a value."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        elif action.nargs != 0:
            yield action


def _teach(action: argparse.Action, command: str, shtab: Any) -> None:
    """Say what completes an argument; the parser is used for nothing else."""
    metavar = str(action.metavar or "")
    words = _WORDS_OF.get((command, action.dest)) or _WORDS.get(metavar)
    if words:
        action.choices = list(words())
    elif metavar == "RUN":
        action.complete = _runs(shtab)  # type: ignore[attr-defined]
    elif metavar in _FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif metavar in _FILES:
        patterns = _EXPERIMENTS if command in _TAKES_EXPERIMENT else _FILES[metavar]
        action.complete = shtab.glob(*patterns) if patterns else shtab.FILE  # type: ignore[attr-defined]


def _runs(shtab: Any) -> dict[str, Any]:
    """Return what lists the runs of the current folder, in each shell's words."""
    unix, windows = shtab.cmd(_RUNS), shtab.cmd(_RUNS_POWERSHELL)
    preamble = {"bash": unix["preamble"]["bash"], "powershell": windows["preamble"]["powershell"]}
    return {**unix, "powershell": windows["powershell"], "preamble": preamble}
