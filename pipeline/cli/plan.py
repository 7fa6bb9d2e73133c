"""Say what a run would do, node by node and why, and how each step is set per layer. Nothing is executed."""

from __future__ import annotations

import argparse
from collections import Counter

from pipeline.cli.answer import Answer
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.tables import table
from pipeline.core.experiment import Experiment
from pipeline.core.plan import Plan
from pipeline.execute.decide import Forecast, forecast
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
    settings = [
        {"point": run.label, "step": step.id, "layer": layer, "setting": setting}
        for run in experiment.runs
        for step, layers in layer_settings(run)
        for layer, setting in layers.items()
    ]
    document = {
        "points": len(experiment.runs),
        "nodes": [{"node": f.node.label, "status": f.status, "reason": f.reason} for f in forecasts],
        "layers": settings,
    }
    return Answer(_text(experiment, plan, forecasts, settings), document)


def _text(experiment: Experiment, plan: Plan, forecasts: tuple[Forecast, ...], settings: list[dict[str, str]]) -> str:
    counts = Counter(f.status for f in forecasts)
    references = sum(6 + len(nodes.steps) + 1 for nodes in plan.runs)
    shared = references - (len(plan.nodes) - 2)
    head = (
        f"{experiment.name}: {_number(len(experiment.runs), 'point')}, {len(forecasts)} nodes ({shared} shared): "
        + ", ".join(f"{counts[status]} {status}" for status in ("cached", "run", "may run") if counts[status])
    )
    nodes = table(("status", "node", "why"), [(f.status, f.node.label, f.reason) for f in forecasts])
    rows = [(row["point"], row["step"], row["layer"], row["setting"]) for row in settings]
    return "\n\n".join([head, nodes, table(("point", "step", "layer", "setting"), rows)])


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
