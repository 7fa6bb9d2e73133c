"""Show the result of an earlier run again: its table, its nodes, its files. Nothing is computed."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.core.errors import UserError
from pipeline.report.terminal import render
from pipeline.submission.read import read_submission

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", help="an experiment's name, or a folder that `run` wrote to")
    parser.add_argument("--nodes", action="store_true", help="also list the nodes and how they ended")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the stored result."""
    if args.run is None:
        names = _names()
        return Answer("\n".join(names) or "no runs in this folder", {"runs": names})
    folder = _folder(args.run)
    record = json.loads((folder / "run.json").read_bytes())
    path = folder / "submission.json"
    submission = read_submission(path) if path.exists() else None
    lines = [f"{record['experiment']}: {len(record['nodes'])} nodes"]
    if args.nodes or submission is None:
        lines += [_node_line(node) for node in record["nodes"]]
    if submission is not None:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        lines += ["", render(submission, width=shutil.get_terminal_size((100, 24)).columns, colour=colour)]
    return Answer("\n".join(lines), {"run": record, "submission": submission})


def _node_line(node: dict[str, Any]) -> str:
    seconds = f"{node['seconds']:6.1f} s" if node["seconds"] is not None else " " * 8
    return f"{seconds}  {node['outcome']:<7} {node['label']:<44} {node['reason']}".rstrip()


def _folder(name: str) -> Path:
    for folder in (Path(name), Path("runs", name)):
        if (folder / "run.json").is_file():
            return folder
    near = difflib.get_close_matches(name, _names(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"runs here: {', '.join(_names()) or 'none'}"
    raise UserError(f"there is no run '{name}'", hint=hint)


def _names() -> list[str]:
    return sorted(path.parent.name for path in Path("runs").glob("*/run.json"))
