"""Explain errors, such as E114, rules of submissions, such as R026, and checks of verifications, such as V030."""

from __future__ import annotations

import argparse
import difflib

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns
from pipeline.core.errors import UserError
from pipeline.core.explain import EXPLANATIONS
from pipeline.report.text import wrap
from pipeline.submission.rules.table import RULES
from pipeline.submission.verify_table import CHECKS

__all__ = ["configure", "run"]

_TEXTS = {**EXPLANATIONS, **RULES, **CHECKS}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "codes", metavar="CODE", nargs="*", help="a code, as E114, R026 or V030 (default: list them all)"
    )


def run(args: argparse.Namespace) -> Answer:
    """Answer with the explanations."""
    if not args.codes:
        lines = [f"{code}  {text.partition('.')[0]}." for code, text in sorted(_TEXTS.items())]
        return Answer("\n".join(lines), {"explanations": _TEXTS})
    codes = list(dict.fromkeys(code.upper() for code in args.codes))
    for code in codes:
        if code not in _TEXTS:
            near = difflib.get_close_matches(code, _TEXTS, n=3, cutoff=0.4)
            hint = f"codes like it: {', '.join(near)}" if near else "`pipeline explain` lists the codes"
            raise UserError(f"no error or rule has the code {code}", hint=hint)
    lines = [line for code in codes for line in wrap(f"{code}: {_TEXTS[code]}", columns(), "", "  ")]
    return Answer("\n".join(lines), {"explanations": {code: _TEXTS[code] for code in codes}})
