"""Say over many submissions of an experiment where accuracy, speed-up or size changed its level, and by how much.

Submissions are taken in the order of their measurement. Single outliers are no change: a level has three measurements
or more. Of sizes, which are exact, every change is told.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.runs import find_submission, measured_submission
from pipeline.cli.tables import table
from pipeline.core.errors import UserError
from pipeline.submission.history import METRICS, LevelChange, Series, history, level_changes
from pipeline.submission.quantities import quantity

__all__ = ["configure", "run"]

_MOST = 500  # submissions: the search takes the square of their number in time, some seconds for this many
_FILE = "submission.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="a submission, a run, or a folder of submissions or of runs"
    )


def run(args: argparse.Namespace) -> Answer:
    """Answer with a line for every change, and what there was too little of to find one."""
    files = list(dict.fromkeys(file for path in args.paths for file in _files(path)))
    if len(files) > _MOST:
        raise UserError(f"there are {len(files)} submissions, at most {_MOST} are looked at", hint="name fewer of them")
    found = history([(str(file), _needed(measured_submission(file))) for file in files])
    changes = [change for series in found for change in level_changes(series)]
    parts = [f"{len(files)} submissions" if len(files) != 1 else "1 submission", ""]
    if changes:
        parts += [table(("metric", "from", "to", "lasted", "between"), list(map(_row, changes))), ""]
    else:
        parts += ["no change of level was found", ""]
    parts += [safe(line) for series in found if (line := _note(series))]
    document = {
        "submissions": [str(file) for file in files],
        "series": [_record(series) for series in found],
        "changes": [change.to_json() for change in changes],
    }
    return Answer("\n".join(parts).rstrip(), document)


def _files(name: str) -> list[Path]:
    """Return the submissions that a path stands for: itself, that of a run, or those in a folder."""
    path = Path(name)
    if not path.is_dir() or (path / _FILE).is_file():
        return [find_submission(name)]
    files = sorted({*path.glob("*.json"), *path.glob(f"*/{_FILE}")})
    if not files:
        raise UserError(f"{name}: has no submissions", hint=f"expected *.json or */{_FILE} in it")
    return files


def _needed(submission: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that `history` reads: hundreds of submissions with all they hold need not fit in memory."""
    keys = ("measurement", "provenance", "accuracy", "comparisons", "size", "baseline")
    texts = {"generate": submission["benchmark"]["comparisons"][0].get("generate")}
    return {
        **{key: submission[key] for key in keys},
        "experiment": {"name": submission["experiment"]["name"]},
        "benchmark": {"comparisons": [texts]},
    }


def _row(change: LevelChange) -> tuple[str, ...]:
    unit = METRICS[change.metric].unit
    levels = quantity(change.before, unit), quantity(change.after, unit)
    return change.metric, *levels, f"{change.lasted:,}", f"{change.last} and {change.first} ({change.experiment})"


def _note(series: Series) -> str:
    """Return what is to be known of a series besides its changes, "" if nothing."""
    left_out = f"{series.left_out} left out (noisy, or the same measurement again)" if series.left_out else ""
    said = ", ".join(filter(None, [series.gap, left_out]))
    return f"{series.metric} of {series.experiment}: {said}" if said else ""


def _record(series: Series) -> dict[str, Any]:
    """Return a series as a JSON object, its values as the search has them."""
    return {
        "experiment": series.experiment,
        "metric": series.metric,
        "scale": "log" if METRICS[series.metric].is_log else "linear",
        "submissions": list(series.names),
        "values": list(series.values),
        "least": series.least,
        "noise": series.noise,
        "left_out": series.left_out,
        "gap": series.gap or None,
    }
