"""The target wandb: offline runs of Weights & Biases, one for the result and one for each point of a sweep.

Nothing is sent: `wandb sync` does that. Runs have ids made of the submission's SHA-256, so that the same result sent
again is the same run. Written by wandb itself (extra [wandb]), told to look at neither Git, code, requirements nor
the machine: what is known of those is in the submission.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.export.target import Exported, Source

__all__ = ["configure", "export", "planned"]

_OFFLINE = "offline-run-"  # what `wandb sync` looks for

Epochs = tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Planned:
    """A run to be written: its settings, what was found, and a mapping for each epoch of its training."""

    id: str
    name: str
    kind: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    epochs: Epochs = ()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments."""
    parser.add_argument("--project", metavar="NAME", help="W&B's project (default: the experiment's name)")


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write the runs to the empty folder `out`; raises EnvironmentProblem if wandb cannot."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when it is imported: reports of errors would be sent
    import wandb

    name = source.submission["experiment"]["name"]
    project = args.project or name
    runs = list(planned(source))
    settings = wandb.Settings(
        mode="offline",
        root_dir=str(out),
        console="off",
        silent=True,
        symlink=False,
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    try:
        for planned_run in runs:
            _write(wandb, settings, planned_run, project, name)
    except wandb.Error as error:
        raise EnvironmentProblem(f"wandb cannot write its run: {error}") from error
    finally:
        wandb.teardown()
    folders = _tidy(out, source.submission["measurement"]["measured_at"])
    text = "\n".join(str(out / folder) for folder in folders)
    again = f"wandb sync {out / 'wandb'}/offline-run-*"
    return Exported(f"{text}\n\n{again}", {"project": project, "runs": {run.id: run.name for run in runs}})


def planned(source: Source) -> Iterator[Planned]:
    """Yield the run of the result, then, for a sweep, that of each point."""
    from pipeline.export.curves import Curves
    from pipeline.export.figures import facts, figures, point_figures

    submission, curves, digest = source.submission, Curves(source), source.digest
    selection = submission["selection"]
    points = selection["points"]
    chosen = points[selection["chosen"]]
    yield Planned(
        digest[:16],
        submission["experiment"]["name"],
        "result",
        {
            "experiment": submission["experiment"]["document"],
            "point": {**chosen["point"], "seed": chosen["seed"]},
            "submission": digest,
        },
        {**figures(submission).values, **facts(submission)},
        _epochs(curves, submission["provenance"]["weights"]["optimized"]),
    )
    for point in points if len(points) > 1 else ():
        verdicts = {"verdict.speed": point["verdict"], "verdict.accuracy": point["accuracy"]["test"]["verdict"]}
        yield Planned(
            f"{digest[:16]}-{point['index']}",
            point["label"] or f"point {point['index']}",
            "point",
            {**point["point"], "seed": point["seed"], "submission": digest, "point": point["index"]},
            {**point_figures(point), **verdicts},
            _epochs(curves, point["weights"]),
        )


def _epochs(curves: Any, weights: str) -> Epochs:
    epochs = (epoch for curve in curves.behind(weights) for epoch in curve.epochs)
    return tuple({f"training/{name}": value for name, value in epoch.items()} for epoch in epochs)


def _write(wandb: Any, settings: Any, run: Planned, project: str, group: str) -> None:
    """Write a run; no wandb.Table, whose file wandb would keep a copy of outside the folder."""
    started = wandb.init(
        project=project,
        id=run.id,
        name=run.name,
        group=group,
        job_type=run.kind,
        config=dict(run.config),
        settings=settings,
        reinit="create_new",
    )
    for step, epoch in enumerate(run.epochs, start=1):
        started.log(dict(epoch), step=step)
    started.summary.update(dict(run.summary))
    started.finish()


def _tidy(out: Path, measured_at: str) -> list[str]:
    """Remove what wandb noted of itself, with the paths of this machine; return the runs' folders.

    They are named by the time of the measurement instead of the export's, so that an export can replace itself.
    """
    moment = f"{datetime.fromisoformat(measured_at):%Y%m%d_%H%M%S}"
    found = []
    for path in sorted((out / "wandb").iterdir()):
        if not path.name.startswith(_OFFLINE):
            path.unlink()
            continue
        for name in ("logs", "tmp"):
            shutil.rmtree(path / name, ignore_errors=True)
        run_id = path.name.removeprefix(_OFFLINE).partition("-")[2]
        found.append(path.rename(path.with_name(f"{_OFFLINE}{moment}-{run_id}")))
    return [path.relative_to(out).as_posix() for path in sorted(found)]
