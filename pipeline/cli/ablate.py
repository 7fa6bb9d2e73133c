"""Say what each step of an experiment's submitted point contributes: alone, in order, and left out of all.

Runs the experiment as `pipeline run FILE --set ablate=true` does; what is stored is not computed again. The tables go
to stdout, the figures to runs/<experiment>/ablation.json, and the report shows both.
"""

from __future__ import annotations

import argparse

from pipeline.cli import run as run_command
from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.experiment import add_experiment_arguments
from pipeline.cli.limits import add_limit_arguments
from pipeline.core.errors import UserError

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
    answer = run_command.run(args)
    ablation, files = answer.document["ablation"], answer.document["files"]
    if ablation is None and answer.document["submission"] is None:
        return answer
    if ablation is None:
        raise UserError("the submitted point has no steps to compare", hint="`pipeline run` shows its result")
    from pipeline.report.ablation import render

    text = render(ablation, width=columns(), colour=has_colour())
    listed = [f"{name:<11} {safe(path)}" for name, path in files.items() if name != "evidence"]
    return answer._replace(text="\n".join([text, "", *listed]))
