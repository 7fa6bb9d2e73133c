"""Say what a run would do, node by node and why, and how each step is set per layer. Nothing is executed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.tables import ranges, table
from pipeline.config.template import make_template
from pipeline.core.experiment import Experiment
from pipeline.core.plan import Plan
from pipeline.execute.decide import Forecast, forecast
from pipeline.execute.layers import layer_settings
from pipeline.run import prepare

__all__ = ["configure", "run"]

_MOST_POINTS = 40  # that the text lists; --json lists them all


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
    repeated = make_template(experiment.document).repeated
    layers, left_out = _layers(plan)
    timing = _timing(experiment)
    document = {
        "points": [run.label for run in experiment.runs],
        "repetitions": repeated,
        "nodes": [
            {"node": f.node.label, "status": f.status, "reason": f.reason, "points": points.get(f.node.id, [])}
            for f in forecasts
        ],
        "layers": layers,
        "layers_left_out": left_out,
        "timing": timing,
    }
    head = _head(experiment, forecasts, points, repeated)
    parts = [head, _point_list(experiment), _nodes(experiment, forecasts, points)]
    parts += [_settings(layers, left_out), "\n".join(map(_timing_line, timing))]
    return Answer("\n\n".join(part for part in parts if part), document)


def _points(plan: Plan) -> dict[str, list[int]]:
    """Return node id -> the points (counted from 1) that it serves."""
    found: dict[str, list[int]] = {}
    for number, nodes in enumerate(plan.runs, start=1):
        single = (nodes.data, nodes.train, nodes.profile, nodes.evaluate_baseline, nodes.evaluate_optimized)
        extra = (nodes.loadgen,) if nodes.loadgen else ()
        for node in dict.fromkeys((*single, *nodes.steps, nodes.benchmark, *extra)):
            found.setdefault(node, []).append(number)
    return found


def _layers(plan: Plan) -> tuple[list[dict[str, str]], int]:
    """Return what every step sets for every layer, each once, and how many points were left out because of time.

    Only points that differ in more than their training are looked at, and at most as many as the text lists.
    """
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    seen: set[str] = set()
    left_out = 0
    for nodes in plan.runs:
        run = nodes.run
        key = repr((run.data.name, run.data.args, run.model.arch, run.model.args, run.steps))
        if key in seen or len(seen) == _MOST_POINTS:
            left_out += key not in seen
            continue
        seen.add(key)
        ids = dict(zip((step.id for step in run.steps), nodes.steps, strict=True))
        for step, layers in layer_settings(run):
            title = plan.node(ids[step.id]).title
            for layer, setting in layers.items():
                rows.setdefault((title, layer, setting), {"step": title, "layer": layer, "setting": setting})
    return list(rows.values()), left_out


def _head(experiment: Experiment, forecasts: Sequence[Forecast], points: dict[str, list[int]], repeated: int) -> str:
    counts = Counter(forecast.status for forecast in forecasts)
    shared = sum(len(served) - 1 for served in points.values())
    statuses = ", ".join(f"{counts[name]} {name}" for name in ("cached", "run", "may run") if counts[name])
    runs = _number(len(experiment.runs), "point")
    runs += f" ({_number(repeated, 'repetition')} left out)" if repeated else ""
    return f"{experiment.name}: {runs}, {len(forecasts)} nodes ({shared} shared): {statuses}"


def _point_list(experiment: Experiment) -> str:
    labels = [safe(run.label) for run in experiment.runs]
    width = len(str(len(labels)))
    lines = [f"  {i:>{width}}  {label}" for i, label in enumerate(labels[:_MOST_POINTS], start=1) if label]
    more = len(labels) - _MOST_POINTS
    return "\n".join([*lines, *([f"  {more} more points: --json lists them"] if more > 0 else [])])


def _nodes(experiment: Experiment, forecasts: Sequence[Forecast], points: dict[str, list[int]]) -> str:
    """Return the table of nodes; those that differ in their point only are one row."""
    labels = {run.label for run in experiment.runs if run.label}
    rows: dict[tuple[str, str, str], list[str]] = {}
    for f in forecasts:
        name = f.node.stage if f.node.title in labels else f.node.label
        rows.setdefault((f.status, name, f.reason), []).append(f.node.id)
    table_rows = []
    for (status, name, reason), ids in rows.items():
        served = sorted({number for node in ids for number in points.get(node, [])})
        is_partial = 0 < len(served) < len(experiment.runs)
        count = f"{len(ids)}x" if len(ids) > 1 else ""
        table_rows.append((status, name, count, ranges(served) if is_partial else "", reason))
    header = ("status", "node", "", "points", "why")
    used = [place for place, column in enumerate(zip(*table_rows, strict=True)) if any(column) or place == len(header)]
    return table([header[place] for place in used], [[row[place] for place in used] for row in table_rows])


def _settings(layers: Sequence[dict[str, str]], left_out: int) -> str:
    """Return the table of layers; those that a step sets alike are one row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in layers:
        rows.setdefault((row["step"], row["setting"]), []).append(row["layer"])
    listed = [(step, f"{', '.join(names)}: {setting}") for (step, setting), names in rows.items()]
    shown = [table(("step", "layers and their settings"), listed)] if listed else []
    more = [f"  the settings at {_number(left_out, 'more point')} are not listed"] if left_out else []
    return "\n".join([*shown, *more])


_PRECISION = ("processes", "target_ci", "budget_s", "wait_s")


def _timing(experiment: Experiment) -> list[dict[str, float]]:
    """Return how many comparisons are timed how precisely: what preset and file come to; points may differ."""
    counts: Counter[tuple[float, ...]] = Counter()
    for run in experiment.runs:
        asked = run.benchmark
        counts[tuple(getattr(asked, name) for name in _PRECISION)] += len(asked.batch_sizes) * len(asked.threads)
    return [{"comparisons": count, **dict(zip(_PRECISION, values, strict=True))} for values, count in counts.items()]


def _timing_line(timing: dict[str, float]) -> str:
    wait = f"; a busy machine is waited for, up to {timing['wait_s']:g} s each" if timing["wait_s"] else ""
    return (
        f"{_number(int(timing['comparisons']), 'comparison')}: {timing['processes']} processes or more for "
        f"±{100 * timing['target_ci']:g} %, {timing['budget_s']:g} s each{wait}"
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
