"""Check experiment files (.yaml, .yml) and submissions (.json).

Nothing is executed. All problems of all files are reported at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, safe
from pipeline.core.errors import ConfigError, PipelineError, Problem, render_problems

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="an experiment or a submission")


def run(args: argparse.Namespace) -> Answer:
    """Answer with one verdict a file; the exit code is that of the worst."""
    rows = [_check(Path(file)) for file in args.files]
    text = safe("\n".join(row.pop("text") for row in rows))
    return Answer(text, {"files": rows}, max(row["exit_code"] for row in rows))


def _check(path: Path) -> dict[str, Any]:
    is_submission = path.suffix.lower() == ".json"
    try:
        kind, problems = _submission(path) if is_submission else _experiment(path)
        error: PipelineError | None = ConfigError(problems) if problems else None
    except PipelineError as raised:
        kind, error = "submission" if is_submission else "experiment", raised
    row: dict[str, Any] = {"file": str(path), "kind": kind, "valid": error is None}
    if error is None:
        return row | {"problems": [], "exit_code": 0, "text": f"{path}: valid {kind}"}
    text = render_problems(error.problems, columns(120)) if error.problems else f"error {error.code}: {error.message}"
    listed = [problem.to_json() for problem in error.problems] or [{"code": error.code, "message": error.message}]
    return row | {"problems": listed, "exit_code": error.exit_code, "text": text}


def _experiment(path: Path) -> tuple[str, list[Problem]]:
    from pipeline.config.check import check
    from pipeline.config.load import load

    return "experiment", check(load(path))


def _submission(path: Path) -> tuple[str, list[Problem]]:
    from pipeline.submission.validate import validate_file

    return f"submission, version {validate_file(path)}", []
