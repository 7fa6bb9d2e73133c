"""Show the result of an earlier run again: its table, its nodes, its files. Nothing is computed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.progress import node_line
from pipeline.cli.runs import find_run, read_record, run_names, stored_ablation, stored_submission
from pipeline.core.event import Outcome
from pipeline.report.terminal import render

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", help="an experiment's name, or a folder that `run` wrote to")
    parser.add_argument("--nodes", action="store_true", help="also list the nodes and how they ended")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the stored result; what is damaged, or was changed by hand to what no run writes, is an error."""
    if args.run is None:
        names = run_names()
        return Answer(safe("\n".join(names)) or "no runs in this folder", {"runs": names})
    folder = find_run(args.run)
    record = read_record(folder / "run.json")
    submission = stored_submission(folder / "submission.json")
    lines = [safe(f"{record['experiment']}: {len(record['nodes'])} nodes")]
    failed = [node["label"] for node in record["nodes"] if node["outcome"] == Outcome.FAILED.value]
    earlier = "; what follows is the result of an earlier run" if submission else ""
    if failed:
        lines.append(safe(f"the last run failed at {', '.join(failed)}{earlier}"))
    elif part := _part(record):
        lines.append(safe(f"the last run was of a part only ({part}){earlier}"))
    if args.nodes or submission is None:
        nodes = record["nodes"]
        lines += [node_line(node["seconds"], node["outcome"], node["label"], node["reason"]) for node in nodes]
    if submission is not None:
        lines += ["", render(submission, width=columns(), colour=has_colour())]
    ablation, note = stored_ablation(folder, submission) if submission is not None else (None, "")
    if ablation is not None:
        from pipeline.report.ablation import render as render_ablation

        lines += ["", render_ablation(ablation, width=columns(), colour=has_colour())]
    document = {"run": record, "submission": submission, "ablation": ablation}
    return Answer("\n".join(lines), document, message=safe(note))


def _part(record: Mapping[str, Any]) -> str:
    """Return what a run was restricted to, as on its command line, or nothing."""
    asked = record.get("asked")
    if not isinstance(asked, dict):
        return ""
    until, only = asked.get("until"), asked.get("only")
    points = [f"--only {point!r}" for point in only] if isinstance(only, list) else []
    return " ".join([*([f"--until {until}"] if until else []), *points])
