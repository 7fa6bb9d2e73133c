"""Show the result of an earlier run again: its table, its nodes, its files. Nothing is computed."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.progress import node_line
from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.core.event import Outcome
from pipeline.report.terminal import render
from pipeline.submission.read import read_submission
from pipeline.submission.validate import check_submission

__all__ = ["configure", "find_run", "run", "stored_submission"]

_MOST_BYTES = 64 * 2**20  # a record has about 1 KiB for each node


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", help="an experiment's name, or a folder that `run` wrote to")
    parser.add_argument("--nodes", action="store_true", help="also list the nodes and how they ended")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the stored result; what is damaged, or was changed by hand to what no run writes, is an error."""
    if args.run is None:
        names = _names()
        return Answer(safe("\n".join(names)) or "no runs in this folder", {"runs": names})
    folder = find_run(args.run)
    record = _record(folder / "run.json")
    submission = stored_submission(folder / "submission.json")
    lines = [safe(f"{record['experiment']}: {len(record['nodes'])} nodes")]
    failed = [node["label"] for node in record["nodes"] if node["outcome"] == Outcome.FAILED.value]
    if failed:
        earlier = "; what follows is the result of an earlier run" if submission else ""
        lines.append(safe(f"the last run failed at {', '.join(failed)}{earlier}"))
    if args.nodes or submission is None:
        nodes = record["nodes"]
        lines += [node_line(node["seconds"], node["outcome"], node["label"], node["reason"]) for node in nodes]
    if submission is not None:
        lines += ["", render(submission, width=columns(), colour=has_colour())]
    return Answer("\n".join(lines), {"run": record, "submission": submission})


def _record(path: Path) -> dict[str, Any]:
    try:
        record = read_submission(path, _MOST_BYTES)  # whoever may write the one file may write the other
    except SubmissionInvalid as error:
        raise UserError(
            error.message, hint="the file is damaged; running the experiment again writes it anew"
        ) from error
    nodes = record.get("nodes")
    is_whole = isinstance(record.get("experiment"), str) and isinstance(nodes, list)
    if not is_whole or not all(map(_is_node, nodes or ())):
        raise UserError(f"{path}: is no record of a run", hint="running the experiment again writes it anew")
    return record


def _is_node(node: Any) -> bool:
    if not isinstance(node, dict) or not all(isinstance(node.get(key), str) for key in ("outcome", "label", "reason")):
        return False
    return node.get("seconds") is None or type(node["seconds"]) in (int, float)


def stored_submission(path: Path) -> dict[str, Any] | None:
    """Return the valid submission in a file, None if there is no file; raises SubmissionInvalid."""
    if not path.exists():
        return None
    submission = read_submission(path)
    check_submission(submission, str(path))
    return submission


def find_run(name: str) -> Path:
    """Return the folder of a run by its path or its experiment's name; raises UserError with the nearest name."""
    for folder in (Path(name), Path("runs", name)):
        if (folder / "run.json").is_file():
            return folder
    near = difflib.get_close_matches(name, _names(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"runs here: {', '.join(_names()) or 'none'}"
    raise UserError(f"there is no run '{name}'", hint=hint)


def _names() -> list[str]:
    return sorted(path.parent.name for path in Path("runs").glob("*/run.json"))
