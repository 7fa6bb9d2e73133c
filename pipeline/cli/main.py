"""The entry point: picks the command, prints its answer or its error, and returns the exit code.

stdout carries the answer (with `--json`: exactly one JSON document, errors included), stderr everything else.
Exit codes: 0 fine, 1 a stage failed, 2 bad input, 3 a goal or gate not met, 4 submission invalid or not verified,
5 too noisy, 6 environment, 70 our bug, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from pipeline.cli import COMMANDS
from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, open_streams, safe

__all__ = ["main"]

INTERRUPTED = 130
OUR_BUG = 70
ENVIRONMENT = 6
BAD_INPUT = 2
PROBLEM_WIDTH = 120  # where there is no terminal to fit

# What the system says when a disk, a permission or a limit is in the way, whatever was being done.
_ENVIRONMENT_ERRORS = frozenset(
    {errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EPERM, errno.EROFS}
)
_NAME_ERRORS = frozenset({errno.ELOOP, errno.ENAMETOOLONG})  # of a path that a user gave
_EPILOG = """start here:
  pipeline init first.yaml        write an experiment file
  pipeline plan first.yaml        see what would run
  pipeline run first.yaml         run it; what has not changed is not run again
"""


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors and its help raised instead of printed, so that `--json` covers them, too."""

    def error(self, message: str) -> NoReturn:
        raise _Usage(message, self.format_usage().rstrip())

    def print_help(self, file: Any = None) -> NoReturn:
        raise _Help(self.format_help().rstrip())


class _Usage(Exception):
    """The command line is wrong: what is wrong with it, and how the command is used."""


class _Help(Exception):
    """Help was asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's); return the exit code."""
    open_streams()
    arguments, as_json = _without_json(list(sys.argv[1:] if argv is None else argv))
    try:
        answer = _dispatch(arguments)
    except KeyboardInterrupt:
        answer = _interrupted()
    except Exception as error:  # the outermost boundary: an error of ours to report, or a bug of ours
        # Of an interrupt in making a class, as when modules are imported, Python 3.11 makes a RuntimeError.
        answer = _interrupted() if isinstance(error.__cause__, KeyboardInterrupt) else _failed(error)
    return _print(answer, as_json)


def _without_json(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without `--json`, which may stand anywhere, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [argument for argument in arguments[:end] if argument != "--json"] + arguments[end:]
    return rest, len(rest) < len(arguments)


def _dispatch(arguments: list[str]) -> Answer:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        return _help(_top_help())
    if name == "--version":
        return _version()
    if name not in COMMANDS:
        raise _Usage(_unknown(name), "")
    module = importlib.import_module(f"pipeline.cli.{name.replace('-', '_')}")
    parser = _Parser(
        prog=f"pipeline {name}",
        description=_sentence(module.__doc__),
        formatter_class=_formatter(),
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    module.configure(parser)
    try:
        args = parser.parse_args(arguments[1:])
    except _Help as shown:
        return _help(str(shown))
    if told := getattr(args, "use", None):
        importlib.import_module("pipeline.own.use").use(told)
    answer: Answer = module.run(args)
    return answer


def _print(answer: Answer, as_json: bool) -> int:
    """Print the text to stdout and the message to stderr, or the document to stdout; return the exit code."""
    try:
        if as_json:
            print(json.dumps(answer.document, indent=2, allow_nan=False))
        elif answer.text:
            print(answer.text)
        sys.stdout.flush()
        if answer.message and not as_json:
            print(answer.message, file=sys.stderr)
    except BrokenPipeError:  # the reader, `head` for example, has gone
        _drop_output()
    except OSError as error:
        _drop_output()
        print(f"error E700: the output cannot be written: {error.strerror}", file=sys.stderr)
        return ENVIRONMENT
    return answer.exit_code


def _drop_output() -> None:
    """Send to nowhere what is still to be written to stdout, so that the interpreter's end finds nothing to fail on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help(text: str) -> Answer:
    return Answer(text, {"help": text})


def _top_help() -> str:
    parser = argparse.ArgumentParser(
        prog="pipeline",
        description="Declarative experiments for model compression: profile, optimize, benchmark, submit.",
        epilog=_EPILOG,
        formatter_class=_formatter(),
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser.format_help().rstrip()


def _formatter() -> Any:
    return argparse.RawDescriptionHelpFormatter


def _sentence(doc: str | None) -> str:
    return (doc or "").partition("\n\n")[0]


def _version() -> Answer:
    version = importlib.import_module("tinytorch").__version__
    return Answer(f"tinytorch-pipeline {version}", {"version": version})


def _unknown(name: str) -> str:
    difflib = importlib.import_module("difflib")
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"there is no command '{name}'{hint} (commands: {', '.join(COMMANDS)})"


def _interrupted() -> Answer:
    return _error("E130", "interrupted; what was finished is kept", INTERRUPTED)


def _failed(error: Exception) -> Answer:
    errors = importlib.import_module("pipeline.core.errors")
    tinytorch_errors = importlib.import_module("tinytorch.errors")
    if isinstance(error, _Usage):
        message, usage = error.args
        return _error("E201", message, BAD_INPUT, hint=usage)
    if isinstance(error, errors.PipelineError):
        if not error.problems:
            return _error(error.code, error.message, error.exit_code, hint=error.hint)
        hint = f"\n  {error.hint}" if error.hint else ""
        text = errors.render_problems(error.problems, columns(PROBLEM_WIDTH)) + hint
        return Answer("", {"error": error.to_json()}, error.exit_code, safe(text))
    if isinstance(error, tinytorch_errors.TinyTorchError):
        is_missing = getattr(error, "found", "") == tinytorch_errors.NOTHING_THERE
        hint = "if the data lie elsewhere: --set data.root=FOLDER" if is_missing else ""
        return _error("E200", str(error), BAD_INPUT, hint=hint)
    if isinstance(error, MemoryError):
        return _error("E700", "there is not enough memory", ENVIRONMENT)
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT_ERRORS:
        where = f"{error.filename}: " if error.filename else ""
        return _error("E700", f"{where}{error.strerror}", ENVIRONMENT)
    if isinstance(error, OSError) and error.errno in _NAME_ERRORS:
        name = str(error.filename)
        return _error("E200", f"{name if len(name) < 80 else name[:79] + '…'}: {error.strerror}", BAD_INPUT)
    return _bug(error)


def _error(code: str, message: str, exit_code: int, *, hint: str = "") -> Answer:
    text = "\n  ".join([f"error {code}: {message}", *hint.splitlines()])
    document = {"code": code, "exit_code": exit_code, "message": message, "hint": hint, "problems": []}
    return Answer("", {"error": document}, exit_code, safe(text))


def _bug(error: Exception) -> Answer:
    trace = "".join(importlib.import_module("traceback").format_exception(error))
    answer = _error("E900", f"{type(error).__name__}: {error}", OUR_BUG)
    text = f"{trace}\nThis is a bug in tinytorch-pipeline, not in your files. What was finished is kept."
    return Answer("", {"error": {**answer.document["error"], "traceback": trace}}, OUR_BUG, safe(text))
