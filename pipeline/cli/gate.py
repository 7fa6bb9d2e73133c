"""Hold a run against an earlier submission, such as one that is committed: is it slower, less accurate or larger?

Speed is that over the own baseline, so that both may come from different machines. Both are computed again from the
evidence beside them before anything is decided. A limit is kept only if the whole interval keeps it, and broken only if
the whole interval breaks it. Exit codes: 3 a limit is broken or nothing comparable was measured (with --strict: or it
is inconclusive), 5 too noisy to say.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.runs import find_submission, measured_submission, trust_of
from pipeline.cli.tables import table
from pipeline.core.errors import UserError
from pipeline.submission.accuracy_change import answers_of
from pipeline.submission.differing import differing_circumstances
from pipeline.submission.gate import LIMITS, Decision, hold_against
from pipeline.submission.quantities import MISSING, limit_text, with_interval

__all__ = ["configure", "run"]

_HELP = {
    "slowdown": "how much more of its baseline's time it may take, e.g. 5%%",
    "drop": "how many points of accuracy on the test split it may lose, e.g. 0.5%%",
    "rise": "how much the perplexity on the test split may rise, e.g. 1%%",
    "growth": "how much larger what is stored may be, e.g. 1%%",
}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)( ?%)?")
_BROKEN, _NOISY = 3, 5
_OF_SPEED = ("processor", "kernels", "protocol")  # circumstances that a ratio of two models' times may depend on


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="a submission's file, or the name or folder of a run")
    parser.add_argument("--against", metavar="BASELINE", required=True, help="the earlier submission, likewise")
    for name in LIMITS:
        parser.add_argument(f"--max-{name}", metavar="SHARE", type=_share, help=_HELP[name])
    parser.add_argument("--strict", action="store_true", help="let what is inconclusive break the gate, too")


def run(args: argparse.Namespace) -> Answer:
    """Answer with a decision for every limit."""
    limits = {name: value for name in LIMITS if (value := getattr(args, f"max_{name}")) is not None}
    if not limits:
        flags = ", ".join(f"--max-{name}" for name in LIMITS)
        raise UserError("no limit is given that it could break", hint=f"name at least one of {flags}")
    paths = find_submission(args.against), find_submission(args.run)
    baseline, submission = map(measured_submission, paths)
    trust = trust_of(baseline, paths[0]), trust_of(submission, paths[1])
    answers = answers_of(baseline, paths[0].parent), answers_of(submission, paths[1].parent)
    found = hold_against(baseline, submission, limits, answers)
    code, message = _ending(found, strict=args.strict)
    notes = [
        f"note: another {item.path}: {item.second}, and of the baseline {item.first}"
        for item in differing_circumstances(baseline, submission)
        if item.path in _OF_SPEED and "slowdown" in limits
    ]
    head = safe(f"{paths[1]} ({trust[1]})\nagainst {paths[0]} ({trust[0]})")
    text = table(("limit", "at most", "measured", "outcome", "why"), [_row(decision) for decision in found])
    document = {
        "run": str(paths[1]),
        "against": str(paths[0]),
        "trust": {"run": trust[1], "against": trust[0]},
        "decisions": [decision.to_json() for decision in found],
        "notes": notes,
        "exit_code": code,
    }
    return Answer("\n".join([head, "", text, *map(safe, notes)]), document, code, message)


def _ending(found: Sequence[Decision], *, strict: bool) -> tuple[int, str]:
    """Return the exit code and what is said of it on stderr."""
    broken = [decision.name for decision in found if decision.outcome == "failed"]
    undecided = [decision.name for decision in found if decision.outcome == "inconclusive"]
    if broken:
        return _BROKEN, f"gate broken: {', '.join(broken)} (exit code {_BROKEN})"
    if any(decision.noisy for decision in found):
        return _NOISY, f"too noisy to say anything about speed (exit code {_NOISY}): measure on a quieter machine"
    if missing := [decision.name for decision in found if decision.measured is None]:
        return _BROKEN, f"not comparable: {', '.join(missing)} (exit code {_BROKEN}); the table says why"
    if undecided and strict:
        return _BROKEN, f"inconclusive, and --strict: {', '.join(undecided)} (exit code {_BROKEN})"
    if undecided:
        return 0, f"inconclusive: {', '.join(undecided)}; neither shown to be kept nor to be broken"
    return 0, ""


def _row(decision: Decision) -> tuple[str, ...]:
    unit = LIMITS[decision.name][2]
    measured = MISSING
    if decision.interval is not None:
        is_exact = decision.interval[0] == decision.interval[1]
        measured = with_interval(decision.measured, None if is_exact else decision.interval, unit)
    limit = limit_text(decision.limit, unit)
    return decision.name, limit, measured, decision.outcome, decision.reason


def _share(text: str) -> float:
    """Return a share between 0 and 1 from "5%" or "0.05"."""
    match = _SHARE.fullmatch(text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a share such as 5% or 0.05, at most 100%, not {text[:40]!r}")
    return value
