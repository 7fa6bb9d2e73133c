"""Compare two submissions: where their experiments differ, and metric by metric what changed and how sure that is.

Speed is compared as the ratio that each has to its own baseline. Where evidence lies beside both files, the answers to
the same test items are compared one by one, and each submission is computed again before.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.runs import find_submission, measured_submission, trust_of
from pipeline.cli.tables import table
from pipeline.submission.accuracy_change import answers_of
from pipeline.submission.change import EXACT, Change, changes
from pipeline.submission.differing import ABSENT, Difference, differing_circumstances, differing_keys
from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["configure", "run"]

_LONGEST = 60  # characters of a value that are shown
_LONGEST_OF_KEYS = 40  # of a step or goal that only one side has: enough to know it by
_DIGEST = re.compile("[0-9a-f]{64}")
_DIGITS = 12  # of a digest that are shown


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("first", metavar="A", help="a submission's file, or the name or folder of a run")
    parser.add_argument("second", metavar="B", help="what is compared with it")


def run(args: argparse.Namespace) -> Answer:
    """Answer with three tables; what is not comparable says why."""
    paths = find_submission(args.first), find_submission(args.second)
    first, second = map(measured_submission, paths)
    trust = trust_of(first, paths[0]), trust_of(second, paths[1])
    answers = answers_of(first, paths[0].parent), answers_of(second, paths[1].parent)
    found = changes(first, second, answers)
    keys, circumstances = differing_keys(first, second), differing_circumstances(first, second)
    parts = [
        table(("metric", "A", "B", "change", "verdict"), [_row(change) for change in found]),
        _differences("experiment", keys, "the experiments are the same"),
        _differences("run", circumstances, "the runs agree in everything that figures depend on"),
    ]
    head = safe(f"A  {paths[0]} ({trust[0]})\nB  {paths[1]} ({trust[1]})")
    document = {
        "first": str(paths[0]),
        "second": str(paths[1]),
        "trust": {"first": trust[0], "second": trust[1]},
        "changes": [change.to_json() for change in found],
        "experiment": [_record(difference) for difference in keys],
        "run": [_record(difference) for difference in circumstances],
    }
    return Answer("\n\n".join([head, *parts]), document)


def _row(change: Change) -> tuple[str, ...]:
    is_exact = change.interval is not None and change.interval[0] == change.interval[1]
    by = with_interval(change.change, None if is_exact else change.interval, change.change_unit)
    sides = (quantity(side, change.unit) for side in (change.first, change.second))
    verdict = change.verdict if change.reason == EXACT else f"{change.verdict}; {change.reason}"
    return change.metric, *sides, by if change.change is not None else MISSING, verdict


def _differences(what: str, found: Sequence[Difference], none: str) -> str:
    if not found:
        return none
    return table((what, "A", "B"), [(item.path, _shown(item.first), _shown(item.second)) for item in found])


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _DIGEST.fullmatch(text):
        return text[:_DIGITS]
    longest = _LONGEST_OF_KEYS if isinstance(value, dict) else _LONGEST
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _record(difference: Difference) -> dict[str, Any]:
    """Return a difference as a JSON object, without the value of a key that is not there."""
    sides = {"first": difference.first, "second": difference.second}
    return {"path": difference.path, **{side: value for side, value in sides.items() if value is not ABSENT}}
