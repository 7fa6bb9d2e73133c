"""Say what a run would do, node by node and why, and how each step is set per layer. Nothing is executed."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.tables import table
from pipeline.core.experiment import Experiment
from pipeline.core.plan import Plan
from pipeline.execute.decide import forecast
from pipeline.execute.layers import layer_settings
from pipeline.run import prepare

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)


def run(args: argparse.Namespace) -> Answer:
    """Forecast every node."""
    store = open_store(args)
    experiment = open_experiment(args, store)
    plan, oracle = prepare(experiment, store)
    forecasts = forecast(plan, oracle)
    points = _points(plan)
    document = {
        "points": [run.label for run in experiment.runs],
        "nodes": [
            {"node": f.node.label, "status": f.status, "reason": f.reason, "points": points.get(f.node.id, [])}
            for f in forecasts
        ],
        "layers": _layers(plan),
    }
    return Answer(_text(experiment, document), document)


def _points(plan: Plan) -> dict[str, list[int]]:
    """Return node id -> the points (counted from 1) that it serves."""
    found: dict[str, list[int]] = {}
    for number, nodes in enumerate(plan.runs, start=1):
        single = (nodes.data, nodes.train, nodes.profile, nodes.evaluate_baseline, nodes.evaluate_optimized)
        for node in dict.fromkeys((*single, *nodes.steps, nodes.benchmark)):
            found.setdefault(node, []).append(number)
    return found


def _layers(plan: Plan) -> list[dict[str, str]]:
    """Return what every step sets for every layer; a step that several points share is listed once."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for nodes in plan.runs:
        ids = dict(zip((step.id for step in nodes.run.steps), nodes.steps, strict=True))
        for step, layers in layer_settings(nodes.run):
            title = plan.node(ids[step.id]).title
            for layer, setting in layers.items():
                rows.setdefault((title, layer), {"step": title, "layer": layer, "setting": setting})
    return list(rows.values())


def _text(experiment: Experiment, document: dict[str, Any]) -> str:
    nodes, points = document["nodes"], len(document["points"])
    counts = Counter(node["status"] for node in nodes)
    shared = sum(len(node["points"]) - 1 for node in nodes if node["points"])
    statuses = ", ".join(f"{counts[name]} {name}" for name in ("cached", "run", "may run") if counts[name])
    head = f"{experiment.name}: {_number(points, 'point')}, {len(nodes)} nodes ({shared} shared): {statuses}"
    rows = [(n["status"], n["node"], _serves(n["points"], points), n["reason"]) for n in nodes]
    layers = [(row["step"], row["layer"], row["setting"]) for row in document["layers"]]
    tables = [table(("status", "node", "points", "why"), rows), table(("step", "layer", "setting"), layers)]
    numbered = [f"  {i}  {label}" for i, label in enumerate(document["points"], start=1) if label]
    return "\n\n".join([head, *(["\n".join(numbered)] if numbered else []), *tables])


def _serves(numbers: list[int], points: int) -> str:
    return "" if len(numbers) in (0, points) else ",".join(map(str, numbers))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
