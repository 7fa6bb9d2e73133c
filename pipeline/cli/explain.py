"""Explain error codes, such as E114, at more length than the messages they came with."""

from __future__ import annotations

import argparse
import difflib

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns
from pipeline.core.errors import UserError
from pipeline.core.explain import EXPLANATIONS
from pipeline.report.text import wrap

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("codes", metavar="CODE", nargs="*", help="a code (default: list them all)")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the explanations."""
    if not args.codes:
        lines = [f"{code}  {text.partition('.')[0]}." for code, text in sorted(EXPLANATIONS.items())]
        return Answer("\n".join(lines), {"explanations": dict(EXPLANATIONS)})
    codes = list(dict.fromkeys(code.upper() for code in args.codes))
    for code in codes:
        if code not in EXPLANATIONS:
            near = difflib.get_close_matches(code, EXPLANATIONS, n=3, cutoff=0.4)
            hint = f"codes like it: {', '.join(near)}" if near else "`pipeline explain` lists the codes"
            raise UserError(f"no error has the code {code}", hint=hint)
    lines = [line for code in codes for line in wrap(f"{code}: {EXPLANATIONS[code]}", columns(), "", "  ")]
    return Answer("\n".join(lines), {"explanations": {code: EXPLANATIONS[code] for code in codes}})
