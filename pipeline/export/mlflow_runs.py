"""What is written to an MLflow server, as plain values: the parent run, then one for each point of a sweep. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.export.curves import Curve, Curves, numbered
from pipeline.export.figures import facts, figures, point_figures, settings
from pipeline.export.markdown_text import code, escaped
from pipeline.export.target import Source

__all__ = ["Metric", "PlannedRun", "planned_runs"]

# MLflow's limits (mlflow/utils/validation.py, 3.17): longer ones are refused.
_LONGEST_KEY = 250
_LONGEST_VALUE = 6000
_LONGEST_TAG = 5000
_UNFIT = re.compile(r"[^/\w.\- ]")

Metric = tuple[str, float, int]  # name, value, step


@dataclass(frozen=True)
class PlannedRun:
    """A run to be: `point` is the place in the sweep as text, "" for the parent; times are ms since the epoch."""

    submission: str
    point: str
    name: str
    time_ms: int
    params: Mapping[str, str]
    metrics: tuple[Metric, ...]
    tags: Mapping[str, str]


def planned_runs(source: Source) -> tuple[PlannedRun, ...]:
    """Return the parent and, where there is a sweep, its points."""
    submission = source.submission
    identity, curves = source.digest, Curves(source)
    time_ms = _milliseconds(submission["measurement"]["measured_at"])
    common = {"pipeline.submission": identity, "mlflow.source.type": "LOCAL"}
    command = submission["provenance"]["command"]
    found = figures(submission)
    trainings = curves.behind(submission["provenance"]["weights"]["optimized"])
    parent = PlannedRun(
        identity,
        "",
        submission["experiment"]["name"],
        time_ms,
        _named(settings(submission), _LONGEST_VALUE),
        (*_now(found.values), *_trainings(trainings)),
        _named(
            {
                **common,
                **{f"pipeline.{name}": value for name, value in facts(submission).items()},
                "pipeline.point": "",
                "pipeline.not_measured": "; ".join(f"{name}: {reason}" for name, reason in found.missing.items()),
                "pipeline.training": _trained(trainings) or curves.reason,
                "mlflow.source.name": command,
                "mlflow.note.content": _note(submission),
            },
            _LONGEST_TAG,
        ),
    )
    points = submission["selection"]["points"]
    return (parent, *(_child(parent, point, submission, curves) for point in points if len(points) > 1))


def _child(parent: PlannedRun, point: Mapping[str, Any], submission: Mapping[str, Any], curves: Curves) -> PlannedRun:
    trainings = [curve for curve in curves.behind(point["weights"]) if curve.place]  # the baseline's are the parent's
    is_chosen = point["index"] == submission["selection"]["points"][submission["selection"]["chosen"]]["index"]
    return PlannedRun(
        parent.submission,
        str(point["index"]),
        point["label"] or f"point {point['index']}",
        parent.time_ms,
        _named({**{name: str(value) for name, value in point["point"].items()}, "seed": str(point["seed"])}, 6000),
        (*_now(point_figures(point)), *_trainings(trainings)),
        _named(
            {
                "pipeline.submission": parent.submission,
                "mlflow.source.type": "LOCAL",
                "mlflow.source.name": parent.tags["mlflow.source.name"],
                "pipeline.point": str(point["index"]),
                "pipeline.chosen": "yes" if is_chosen else "no",
                "pipeline.verdict.speed": point["verdict"],
                "pipeline.verdict.accuracy": point["accuracy"]["test"]["verdict"],
                "pipeline.weights": point["weights"],
                "pipeline.training": _trained(trainings),
            },
            _LONGEST_TAG,
        ),
    )


def _milliseconds(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def _now(values: Mapping[str, float]) -> Iterable[Metric]:
    return ((_key(name), float(value), 0) for name, value in values.items())


def _trainings(curves: Iterable[Curve]) -> Iterable[Metric]:
    for step, _, epoch in numbered(curves):
        yield from ((_key(f"training/{name}"), value, step) for name, value in epoch.items())


def _trained(curves: Iterable[Curve]) -> str:
    """Return which epochs are of which step: "1-20 train mlp seed=0; 21-25 optimize finetune"."""
    parts, first = [], 1
    for curve in curves:
        last = first + len(curve.epochs) - 1
        parts.append(f"{first}-{last} {curve.label}")
        first = last + 1
    return "; ".join(parts)


def _named(texts: Mapping[str, str], longest: int) -> dict[str, str]:
    return {_key(name): value if len(value) <= longest else f"{value[: longest - 1]}…" for name, value in texts.items()}


def _key(name: str) -> str:
    """Return a name of the characters and the length that every MLflow server takes."""
    parts = (part.strip(".") or "_" for part in _UNFIT.sub("_", name).split("/"))
    return "/".join(parts)[:_LONGEST_KEY]


def _note(submission: Mapping[str, Any]) -> str:
    """Return the parent's description, which is Markdown."""
    texts = (escaped(submission["experiment"].get("description") or ""), code(submission["provenance"]["command"]))
    return "\n\n".join(text for text in texts if text)
