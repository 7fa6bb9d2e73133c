"""The entry point: picks the command, prints its answer or its error, and returns the exit code.

stdout carries the answer (with `--json`: exactly one JSON document, errors included), stderr everything else.
Exit codes: 0 fine, 1 a stage failed, 2 bad input, 3 a goal or gate not met, 4 submission invalid or not verified,
5 too noisy, 6 environment, 70 our bug, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from pipeline.cli import COMMANDS

__all__ = ["main"]

INTERRUPTED = 130
OUR_BUG = 70
BAD_INPUT = 2

_EPILOG = """start here:
  pipeline init first.yaml        write an experiment file
  pipeline plan first.yaml        see what would run
  pipeline run first.yaml         run it; what has not changed is not run again
"""


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors raised instead of printed, so that `--json` covers them, too."""

    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message}\n{self.format_usage().rstrip()}")


class _Usage(Exception):
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's); return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        code = _dispatch(arguments, as_json)
        sys.stdout.flush()
        return code
    except _Usage as error:
        return _report(as_json, {"code": "E201", "message": str(error)}, f"error: {error}", BAD_INPUT)
    except KeyboardInterrupt:
        message = "interrupted; what was finished is kept"
        return _report(as_json, {"code": "E130", "message": message}, message, INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for example, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost boundary: an error of ours to report, or a bug of ours
        return _fail(error, as_json)


def _dispatch(arguments: list[str], as_json: bool) -> int:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_top_help())
        return 0
    if name == "--version":
        print(_version())
        return 0
    if name not in COMMANDS:
        raise _Usage(_unknown(name))
    module = importlib.import_module(f"pipeline.cli.{name}")
    parser = _Parser(prog=f"pipeline {name}", description=_sentence(module.__doc__), formatter_class=_formatter())
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    module.configure(parser)
    answer = module.run(parser.parse_args(arguments[1:]))
    print(json.dumps(answer.document, indent=2, allow_nan=False) if as_json else answer.text)
    exit_code: int = answer.exit_code
    return exit_code


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


def _version() -> str:
    tinytorch = importlib.import_module("tinytorch")
    return f"tinytorch-pipeline {tinytorch.__version__}"


def _unknown(name: str) -> str:
    difflib = importlib.import_module("difflib")
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"there is no command '{name}'{hint} (commands: {', '.join(COMMANDS)})"


def _fail(error: Exception, as_json: bool) -> int:
    errors = importlib.import_module("pipeline.core.errors")
    tinytorch_errors = importlib.import_module("tinytorch.errors")
    if isinstance(error, errors.PipelineError):
        problems = error.problems
        text = errors.render_problems(problems) if problems else f"error {error.code}: {error.message}"
        hint = f"\n  {error.hint}" if error.hint else ""
        return _report(as_json, error.to_json(), text + hint, error.exit_code)
    if isinstance(error, tinytorch_errors.TinyTorchError):
        return _report(as_json, {"code": "E200", "message": str(error)}, f"error: {error}", BAD_INPUT)
    traceback = importlib.import_module("traceback")
    trace = traceback.format_exc()
    text = f"{trace}\nThis is a bug in tinytorch-pipeline, not in your files. What was finished is kept."
    return _report(
        as_json, {"code": "E900", "message": f"{type(error).__name__}: {error}", "traceback": trace}, text, OUR_BUG
    )


def _report(as_json: bool, document: dict[str, Any], text: str, exit_code: int) -> int:
    if as_json:
        print(json.dumps({"error": {**document, "exit_code": exit_code}}, indent=2))
    else:
        print(text, file=sys.stderr)
    return exit_code
