"""Check experiment files (.yaml, .yml), submissions and comparisons of frameworks (.json).

Nothing is executed. All problems of all files are reported at once. A submission whose evidence lies beside it is
computed again, and called recomputed if everything agrees.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, safe
from pipeline.cli.use_argument import add_use_argument
from pipeline.core.errors import ConfigError, PipelineError, Problem, UserError, render_problems
from pipeline.submission.badge import BADGES

if TYPE_CHECKING:
    from pipeline.submission.competition.terms import Competition

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="an experiment or a submission")
    parser.add_argument(
        "--competition",
        metavar="NAME|FILE",
        help="hold submissions against the limits of this competition (default: the one they are made for)",
    )
    add_use_argument(parser)


def run(args: argparse.Namespace) -> Answer:
    """Answer with one verdict a file; the exit code is that of the worst."""
    competition = _find(args.competition) if args.competition else None
    rows = [_with_standing(_check(Path(file)), competition) for file in args.files]
    text = safe("\n".join(row.pop("text") for row in rows))
    return Answer(text, {"files": rows}, max(row["exit_code"] for row in rows))


def _check(path: Path) -> dict[str, Any]:
    is_submission = path.suffix.lower() == ".json"
    try:
        kind, problems, trust = _submission(path) if is_submission else _experiment(path)
        error: PipelineError | None = ConfigError(problems) if problems else None
    except PipelineError as raised:
        kind, trust, error = "submission" if is_submission else "experiment", "", raised
    row: dict[str, Any] = {"file": str(path), "kind": kind, "valid": error is None}
    if error is None:
        text = f"{path}: {trust} {kind}{_why(trust)}"
        return row | {"trust": trust, "problems": [], "exit_code": 0, "text": text}
    text = render_problems(error.problems, columns(120)) if error.problems else f"error {error.code}: {error.message}"
    listed = [problem.to_json() for problem in error.problems] or [{"code": error.code, "message": error.message}]
    return row | {"problems": listed, "exit_code": error.exit_code, "text": text}


def _why(trust: str) -> str:
    """Return what a level that may surprise means, as a line of its own."""
    return f"\n  {BADGES[trust].meaning}" if trust == "unverified" else ""


def _find(name: str) -> Competition:
    from pipeline.submission.competition.terms import find_competition

    return find_competition(name)


def _with_standing(row: dict[str, Any], competition: Competition | None) -> dict[str, Any]:
    """Return the row of a file with how it stands in a competition: the given one, or the one that it was made for."""
    if not row["valid"] or not row["kind"].startswith("submission"):
        return row
    from pipeline.submission.competition.named import made_for

    path = Path(row["file"])
    try:
        name = None if competition else made_for(path)
        if competition is None and name is None:
            return row
        from pipeline.submission.competition.standing import standing

        found = standing(competition or _find(str(name)), path, row.get("trust", "valid"))
    except UserError as error:
        return row | {"text": f"{row['text']}\n  error {error.code}: {error.message}", "exit_code": error.exit_code}
    text = f"{row['text']}\n{found.pop('text')}"
    return row | {"text": text, "exit_code": found.pop("exit_code"), "competition": found}


def _experiment(path: Path) -> tuple[str, list[Problem], str]:
    from pipeline.config.check import check
    from pipeline.config.load import load

    return "experiment", check(load(path)), "valid"


def _submission(path: Path) -> tuple[str, list[Problem], str]:
    """Return the kind, the problems, and how far the file is to be trusted; raises SubmissionInvalid.

    Besides submissions it may be a comparison of frameworks, whose figures are held against each other.
    """
    from pipeline.cli.runs import trust_of
    from pipeline.submission.measured import is_frameworks, is_migrated
    from pipeline.submission.read import read_submission
    from pipeline.submission.validate import schema_version, validate_file

    if is_frameworks(document := read_submission(path)):
        from pipeline.submission.frameworks import frameworks_problems

        return "comparison of frameworks", frameworks_problems(document, str(path)), "valid"
    document = validate_file(path)
    migrated = " migrated from version 1" if is_migrated(document) else ""
    return f"submission, version {schema_version(document)}{migrated}", [], trust_of(document, path)
