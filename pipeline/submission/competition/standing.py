"""How a submission stands in a competition, as `validate --competition` says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core.errors import GoalNotMet, UserError
from pipeline.submission.competition.judge import CHANGED_RULES, Finding, judge, overall
from pipeline.submission.competition.limits import RULES
from pipeline.submission.competition.terms import Competition
from pipeline.submission.measured import UNMEASURED, is_measured
from pipeline.submission.read import read_submission

__all__ = ["found_and_expected", "standing"]

_SAID = ("properties", CHANGED_RULES)  # where findings come from that are told even if they pass
_SIGNS = {"pass": "pass", "fail": "FAIL", "inconclusive": "inconclusive"}


def standing(competition: Competition, path: Path, trust: str) -> dict[str, Any]:
    """Return how the valid submission in a file stands: as a document, with its text and exit code.

    `trust` says what is known of it, one of LEVELS.

    Raises UserError for a submission that no run wrote: it has no intervals.
    """
    document = read_submission(path)
    if not is_measured(document):
        raise UserError(f"{path}: {UNMEASURED}; expected what `pipeline run` writes")
    findings = judge(competition, document, path.stat().st_size, trust)
    status = overall(findings)
    lines = [f"  competition {competition.name}: {_SIGNS[status]} (rules {competition.digest[:12]})"]
    lines += [_line(finding) for finding in findings if finding.status != "pass" or finding.origin in _SAID]
    kept = sum(finding.status == "pass" and finding.origin not in _SAID for finding in findings)
    lines.append(f"    {kept} of the competition's other terms are kept")
    return {
        "name": competition.name,
        "rules": competition.digest,
        "status": status,
        "findings": [finding.to_json() for finding in findings],
        "text": "\n".join(lines),
        "exit_code": 0 if status == "pass" else GoalNotMet.exit_code,
    }


def found_and_expected(finding: Finding) -> str:
    """Return what was found, with its interval, what was expected, and why that is decided as it is."""
    between = f" [{finding.interval[0]:.6g}, {finding.interval[1]:.6g}]" if finding.interval else ""
    expected = ", ".join(map(str, finding.expected)) if isinstance(finding.expected, list) else finding.expected
    return (
        f"found {_short(finding.found)}{between}, expected {RULES[finding.rule]} {_short(expected)}: {finding.reason}"
    )


def _line(finding: Finding) -> str:
    return f"    {_SIGNS[finding.status]}  {finding.path}: {found_and_expected(finding)}"


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
