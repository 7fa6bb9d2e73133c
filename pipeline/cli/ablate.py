"""Say what each step of an experiment's submitted point contributes: alone, in order, and left out of all.

Runs the experiment as `pipeline run FILE --set ablate=true` does; what is stored is not computed again. The tables go
to stdout, the figures to runs/<experiment>/ablation.json, and the report shows both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli import run as run_command
from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.limits import add_limit_arguments
from pipeline.core.errors import UserError
from pipeline.submission.read import read_submission

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="where result files are written (default: runs/<experiment>)")
    add_limit_arguments(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--fresh", action="store_true", help="measure again, even where a measurement is stored")
    parser.set_defaults(until=None, only=[], force=[], dry_run=False)


def run(args: argparse.Namespace) -> Answer:
    """Answer with the tables; the exit code is that of the run."""
    args.set = [*args.set, "ablate=true"]
    folder = Path(args.out or Path("runs", open_experiment(args, open_store(args)).name))
    before = _point(folder)
    answer = run_command.run(args)
    if before is not None and before != (now := _point(folder)):
        note = f"{folder} held the submission of {before}; it is now that of {now} (--out DIR keeps both)"
        document = {**answer.document, "messages": [*answer.document["messages"], note]}
        answer = answer._replace(document=document, message="\n".join(filter(None, [answer.message, safe(note)])))
    ablation, files = answer.document["ablation"], answer.document["files"]
    if ablation is None and answer.document["submission"] is None:
        return answer
    if ablation is None:
        raise UserError("the submitted point has no steps to compare", hint="`pipeline run` shows its result")
    from pipeline.report.ablation import render

    text = render(ablation, width=columns(), colour=has_colour())
    listed = [f"{name:<11} {safe(path)}" for name, path in files.items() if name != "evidence"]
    return answer._replace(text="\n".join([text, "", *listed]))


def _point(folder: Path) -> str | None:
    """Return which point the submission in a folder is of, None if there is none that can be read."""
    try:
        document = read_submission(folder / "submission.json")
        return str(document["optimized"]["model_name"])
    except (UserError, KeyError, TypeError):
        return None
