"""Run an experiment; what is already stored is taken, and only what changed is computed.

The result table goes to stdout, progress and messages to stderr. The files are written to runs/<experiment>/.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.progress import Progress
from pipeline.core.errors import EnvironmentProblem, PipelineError, StageFailed, UserError
from pipeline.core.event import Outcome
from pipeline.core.keys import digest_value
from pipeline.execute.environment import CodeDigests
from pipeline.run import RunResult, run_experiment
from pipeline.store.local import LocalStore
from tinytorch.errors import DataFileError, TinyTorchError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)
    parser.add_argument("--fresh", action="store_true", help="measure again, even where a measurement is stored")
    parser.add_argument("--out", metavar="DIR", help="where result files are written (default: runs/<experiment>)")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> Answer:
    """Run the experiment and answer with its result table."""
    store = open_store(args)
    experiment = open_experiment(args, store)
    folder = Path(args.out or Path("runs", experiment.name))
    # A result must not depend on how many cores the machine has; numpy reads this when it is first imported.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    progress = Progress(sys.stderr, quiet=args.quiet)
    result = run_experiment(experiment, store, folder, progress, command=_command(args), fresh=args.fresh)
    if result.failures:
        raise _failure(result, folder)
    return _answer(result, store)


def _command(args: argparse.Namespace) -> str:
    """Return the command that repeats this run, without the paths of this machine."""
    file = args.file if not os.path.isabs(args.file) else os.path.basename(args.file)
    overrides = [
        word for flag, values in (("--set", args.set), ("--sweep", args.sweep)) for v in values for word in (flag, v)
    ]
    return shlex.join(["python", "-m", "pipeline", "run", file, *overrides])


def _answer(result: RunResult, store: LocalStore) -> Answer:
    submission = result.submission
    lines = [_count_line(result)]
    if submission is not None:
        lines += ["", _rendered(submission, store)]
    lines += ["", *(f"{name:<11} {path}" for name, path in result.files.items())]
    document = {
        "nodes": {outcome.value: result.count(outcome) for outcome in Outcome},
        "submission": submission,
        "files": {name: str(path) for name, path in result.files.items()},
    }
    return Answer("\n".join(lines), document, _exit_code(submission))


def _rendered(submission: dict[str, Any], store: LocalStore) -> str:
    """Return the result table; it is remembered, because rendering takes as long as finding that nothing is to do."""
    width = shutil.get_terminal_size((100, 24)).columns
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    code = CodeDigests(store).module_digest("pipeline.report.terminal")
    name = digest_value([submission, width, colour, code])
    known = store.recall("rendered", name)
    if known is None:
        from pipeline.report.terminal import render

        known = render(submission, width=width, colour=colour)
        store.remember("rendered", {name: known})
    return str(known)


def _count_line(result: RunResult) -> str:
    ran, cached = result.count(Outcome.RAN), result.count(Outcome.CACHED)
    return f"{ran + cached} nodes: {ran} ran, {cached} cached"


def _exit_code(submission: dict[str, Any] | None) -> int:
    if submission is None:
        return 0
    if submission["measurement"]["noisy"]:
        return 5
    unmet = [goal for goal in submission["constraints"] if goal["status"] == "not_met"]
    return 3 if unmet else 0


def _failure(result: RunResult, folder: Path) -> PipelineError:
    """Return the error that stands for all failures: the first one's branch decides the exit code."""
    first = result.failures[0]
    lines = [f"{failed.node.label}: {_message(failed.error)}" for failed in result.failures]
    skipped = result.count(Outcome.SKIPPED)
    hint = (
        f"{skipped} nodes that depend on this were not run; everything finished is kept. Details: {folder / 'run.json'}"
    )
    if isinstance(first.error, PipelineError):
        return type(first.error)("\n".join(lines), code=first.error.code, hint=first.error.hint or hint)
    if isinstance(first.error, ImportError):  # a stage that needs an extra says which pip command brings it
        return EnvironmentProblem("\n".join(lines), hint=hint)
    if isinstance(first.error, DataFileError):
        return UserError("\n".join(lines), hint=hint)
    return StageFailed("\n".join(lines), hint=hint)


def _message(error: Exception | None) -> str:
    known = isinstance(error, PipelineError | TinyTorchError | ImportError)
    return str(error) if known else f"{type(error).__name__}: {error}"
