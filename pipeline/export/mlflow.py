"""The target mlflow: a run, and each point of its sweep, on an MLflow tracking server. Its arguments, and the sending.

A sweep becomes a parent run with a child for each point. To send the same result again changes nothing: runs are found
by the SHA-256 of the submission that they are tagged with, finished ones are left alone, interrupted ones completed.
Nothing of MLflow is needed on this side: it is spoken to by its REST API.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.export.target import Exported, Source

__all__ = ["configure", "send"]

_URL = "MLFLOW_TRACKING_URI"  # MLflow's own name; as are those of the credentials in mlflow_server
_FILES = ("submission.json", "evidence.safetensors", "report.html", "report.md")
_LARGEST = 128 * 2**20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments."""
    parser.add_argument("--to", metavar="URL", help=f"the tracking server's address (default: ${_URL})")
    parser.add_argument("--experiment", metavar="NAME", help="MLflow's experiment (default: the run's experiment)")


def send(source: Source, args: argparse.Namespace) -> Exported:
    """Create what the server does not have yet; raises EnvironmentProblem where it cannot be reached or refuses."""
    from pipeline.export.mlflow_runs import planned_runs
    from pipeline.export.mlflow_server import Server

    url = args.to or os.environ.get(_URL, "")
    if not url:
        raise UserError("no tracking server is named", hint=f"--to http://127.0.0.1:5000, or set {_URL}")
    server = Server(url)
    name = args.experiment or source.submission["experiment"]["name"]
    experiment = server.experiment(name)
    runs = planned_runs(source)
    known = server.runs_of(experiment, runs[0].submission)
    created: list[str] = []
    ids: dict[str, str] = {}
    for run in runs:
        found = known.get(run.point)
        if found is not None:
            ids[run.point] = found.id
            if found.is_finished:
                continue
        parent = ids.get("") if run.point else None
        started = found or server.start(experiment, run, parent)
        ids[run.point] = started.id
        server.log(started.id, run)
        created.append(run.point)
        if run.point:  # the parent ends last, so that an interrupted export is seen to be one
            server.finish(started.id, run)
    skipped = ""
    if "" in created:
        skipped = _send_files(server, ids[""], source.folder)
        server.finish(ids[""], runs[0])
    return _answer(server.url, name, experiment, ids, created, skipped)


def _send_files(server: Any, run_id: str, folder: Path | None) -> str:
    """Send the run's files; return why there are none on the server, "" if there are."""
    for name in _FILES:
        path = folder / name if folder else None
        if path and path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
            reason: str = server.put_file(run_id, name, path.read_bytes())
            if reason:
                return reason
    return ""


def _answer(url: str, name: str, experiment: str, ids: dict[str, str], created: list[str], skipped: str) -> Exported:
    where = f"{url}/#/experiments/{experiment}/runs/{ids['']}"
    children = len(ids) - 1
    points = f" with a child for each of {children} points" if children else ""
    done = f"sent {len(created)} of {len(ids)} runs" if created else "nothing to send: the server has it all"
    lines = [f"{name}: one run{points}", done, where]
    if skipped:
        lines.append(f"files were not sent: {skipped}")
    document = {
        "url": url,
        "experiment": {"name": name, "id": experiment},
        "run_id": ids[""],
        "children": {point: run_id for point, run_id in ids.items() if point},
        "created": len(created),
        "files_reason": skipped or None,
        "page": where,
    }
    return Exported("\n".join(lines), document)
