"""Explain an error code, such as E114, at more length than the message it came with."""

from __future__ import annotations

import argparse
import difflib

from pipeline.cli.answer import Answer
from pipeline.core.errors import UserError
from pipeline.core.explain import EXPLANATIONS

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="the code (default: list them all)")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the explanation."""
    if args.code is None:
        lines = [f"{code}  {text.partition('.')[0]}." for code, text in sorted(EXPLANATIONS.items())]
        return Answer("\n".join(lines), dict(EXPLANATIONS))
    code = args.code.upper()
    if code not in EXPLANATIONS:
        near = difflib.get_close_matches(code, EXPLANATIONS, n=3)
        raise UserError(f"no error has the code {args.code}", hint=f"codes like it: {', '.join(near) or 'none'}")
    return Answer(f"{code}: {EXPLANATIONS[code]}", {"code": code, "explanation": EXPLANATIONS[code]})
