"""Say what a run would do, node by node and why, and how each step is set per layer. Nothing is executed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.board import duration
from pipeline.cli.console import safe
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.graph import FORMS, draw, graph
from pipeline.cli.space import search_document, search_text
from pipeline.cli.subset import add_subset_arguments, asked_of
from pipeline.cli.tables import ranges, table
from pipeline.config.template import make_template
from pipeline.core.experiment import Experiment, Run
from pipeline.core.plan import Plan, RunNodes
from pipeline.core.subset import Asked, check_stages, choose, nodes_of
from pipeline.execute.decide import Forecast, forecast
from pipeline.execute.estimate import Estimator
from pipeline.execute.layers import layer_settings
from pipeline.run import prepare
from pipeline.stats.correction import least_claim
from pipeline.store.local import LocalStore
from pipeline.submission.quantities import quantity

__all__ = ["answer", "configure", "run"]

_MOST_POINTS = 40  # that the text lists; --json lists them all


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)
    add_subset_arguments(parser)
    parser.add_argument(
        "--graph", choices=tuple(FORMS), metavar="FORM", help=f"draw the nodes instead: {', '.join(FORMS)}"
    )


def run(args: argparse.Namespace) -> Answer:
    """Forecast every node."""
    store = open_store(args)
    return answer(open_experiment(args, store), store, asked_of(args), form=args.graph)


def answer(
    experiment: Experiment, store: LocalStore, asked: Asked, *, slots: int = 1, form: str | None = None
) -> Answer:
    """Forecast what is asked for, with `slots` nodes at a time; draw it where a form of graph is named."""
    plan, oracle = prepare(experiment, store, fresh=asked.fresh)
    experiment = experiment._replace(runs=tuple(nodes.run for nodes in plan.runs))  # of a search those that are known
    check_stages(plan, asked.force)
    wanted = choose(plan, asked.until, asked.only)
    forecasts = forecast(plan, oracle, wanted=wanted, force=asked.force)
    if form:
        drawn = graph(plan, {f.node.id: f.status for f in forecasts})
        text = draw(drawn, form)
        return Answer(text, {"nodes": [node[1:] for node in drawn.nodes], "edges": drawn.edges, form: text})
    meant = _meant(plan, wanted)
    estimate = _Estimate(forecasts, Estimator(store, oracle.stages), slots)
    served = _points(plan)
    points = {f.node.id: served[f.node.id] for f in forecasts if f.node.id in served}
    repeated = make_template(experiment.document).repeated
    layers, left_out = _layers([nodes for nodes in meant if wanted is None or wanted.issuperset(nodes.steps)], plan)
    timed = [nodes.run for nodes in meant if wanted is None or nodes.benchmark in wanted]
    timing = _timing([*timed, *_ablated(plan, wanted)]) if plan.runs else _timing_of_cases(experiment, plan, wanted)
    document = {
        "points": [run.label for run in experiment.runs],
        "asked": asked.to_json(),
        "repetitions": repeated,
        "search": search_document(experiment, plan),
        "nodes": [_node_json(f, points, estimate) for f in forecasts],
        "seconds": estimate.to_json(),
        "layers": layers,
        "layers_left_out": left_out,
        "timing": timing,
    }
    head = _head(experiment, len(meant), forecasts, points, repeated)
    parts = ["\n".join(filter(None, [head, estimate.line()])), search_text(experiment, plan)]
    parts += [_point_list(meant, len(experiment.runs))]
    parts += [_nodes(experiment, forecasts, points, estimate)]
    parts += [_settings(layers, left_out), "\n".join([*map(_timing_line, timing), *_correction_lines(timed)])]
    parts += [_ablation_to_come(experiment, plan, wanted), _without_pytorch(plan, wanted)]
    return Answer("\n\n".join(part for part in parts if part), document)


class _Estimate:
    """How long what is forecast will take, learned from earlier runs: of what runs, and of what may run besides."""

    def __init__(self, forecasts: Sequence[Forecast], estimator: Estimator, slots: int) -> None:
        self._estimator = estimator
        self.run = estimator.expect((f.node for f in forecasts if f.status == "run"), slots)
        self.at_most = estimator.expect((f.node for f in forecasts if f.status in ("run", "may run")), slots)
        self._is_open = any(f.status == "may run" for f in forecasts)

    def of(self, forecast: Forecast) -> float | None:
        """Return what a node is expected to take, None if it is cached or nothing like it ran before."""
        return None if forecast.status == "cached" else self._estimator.seconds(forecast.node)

    def line(self) -> str:
        """Return the sum in words; nothing is said where nothing is to do or known."""
        run, most = self.run, self.at_most
        if not most.seconds:
            return ""
        said = f"about {duration(run.seconds)}, as far as earlier runs tell"
        if self._is_open and most.seconds > run.seconds:
            said += f"; up to {duration(most.seconds)} if all that may run does"
        unknown = f"{_number(most.unknown, 'node')} of a kind that never ran here" if most.unknown else ""
        return f"{said}; not counted: {unknown}" if unknown else said

    def to_json(self) -> dict[str, float | int]:
        """Return the sums in seconds, and how many nodes they lack."""
        return {"run": self.run.seconds, "at_most": self.at_most.seconds, "unknown_nodes": self.at_most.unknown}


def _node_json(forecast: Forecast, points: Mapping[str, list[int]], estimate: _Estimate) -> dict[str, Any]:
    return {
        "node": forecast.node.label,
        "stage": forecast.node.stage,
        "status": forecast.status,
        "reason": forecast.reason,
        "key": forecast.decision.key if forecast.decision else None,
        "points": points.get(forecast.node.id, []),
        "seconds": estimate.of(forecast),
    }


def _meant(plan: Plan, wanted: frozenset[str] | None) -> list[RunNodes]:
    """Return the points that something is done for which is not done for every point."""
    if wanted is None:
        return list(plan.runs)
    return [nodes for nodes in plan.runs if wanted.issuperset(nodes.steps) or nodes.benchmark in wanted]


def _points(plan: Plan) -> dict[str, list[int]]:
    """Return node id -> the points (counted from 1) that it serves."""
    found: dict[str, list[int]] = {}
    for number, nodes in enumerate(plan.runs, start=1):
        for node in nodes_of(nodes):
            found.setdefault(node, []).append(number)
    return found


def _layers(points: Sequence[RunNodes], plan: Plan) -> tuple[list[dict[str, str]], int]:
    """Return what every step sets for every layer, each once, and how many points were left out because of time.

    Only points that differ in more than their training are looked at, and at most as many as the text lists.
    """
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    seen: set[str] = set()
    left_out = 0
    for nodes in points:
        run = nodes.run
        key = repr((run.data.name, run.data.args, run.model.arch, run.model.args, run.model.weights, run.steps))
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


def _head(
    experiment: Experiment, meant: int, forecasts: Sequence[Forecast], points: dict[str, list[int]], repeated: int
) -> str:
    counts = Counter(forecast.status for forecast in forecasts)
    shared = sum(len(served) - 1 for served in points.values())
    statuses = ", ".join(f"{counts[name]} {name}" for name in ("cached", "run", "may run") if counts[name])
    if experiment.frameworks:
        cases = _number(len(experiment.frameworks.cases), "case")
        return f"{experiment.name}: {cases}, {len(forecasts)} nodes: {statuses}"
    runs = _number(len(experiment.runs), "point")
    runs = f"{meant} of {runs}" if meant < len(experiment.runs) else runs
    runs += f" ({_number(repeated, 'repetition')} left out)" if repeated else ""
    return f"{experiment.name}: {runs}, {len(forecasts)} nodes ({shared} shared): {statuses}"


def _point_list(meant: Sequence[RunNodes], count: int) -> str:
    width = len(str(count))
    shown = [nodes.run for nodes in meant[:_MOST_POINTS] if nodes.run.label]
    lines = [f"  {run.index + 1:>{width}}  {safe(run.label)}" for run in shown]
    more = len(meant) - _MOST_POINTS
    return "\n".join([*lines, *([f"  {more} more points: --json lists them"] if more > 0 else [])])


def _nodes(
    experiment: Experiment, forecasts: Sequence[Forecast], points: dict[str, list[int]], estimate: _Estimate
) -> str:
    """Return the table of nodes; those that differ in their point only are one row."""
    labels = {run.label for run in experiment.runs if run.label}
    rows: dict[tuple[str, str, str], list[Forecast]] = {}
    for f in forecasts:
        name = f.node.stage if f.node.title in labels else f.node.label
        rows.setdefault((f.status, name, f.reason), []).append(f)
    table_rows = []
    for (status, name, reason), members in rows.items():
        served = sorted({number for f in members for number in points.get(f.node.id, [])})
        is_partial = 0 < len(served) < len(experiment.runs)
        count = f"{len(members)}x" if len(members) > 1 else ""
        known = [seconds for f in members if (seconds := estimate.of(f)) is not None]
        takes = duration(sum(known)) if len(known) == len(members) else ""
        table_rows.append((status, name, count, takes, ranges(served) if is_partial else "", reason))
    header = ("status", "node", "", "about", "points", "why")
    used = [place for place, column in enumerate(zip(*table_rows, strict=True)) if any(column) or place == len(header)]
    return table([header[place] for place in used], [[row[place] for place in used] for row in table_rows], "about")


def _settings(layers: Sequence[dict[str, str]], left_out: int) -> str:
    """Return the table of layers; those that a step sets alike are one row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in layers:
        rows.setdefault((row["step"], row["setting"]), []).append(row["layer"])
    listed = [(step, f"{', '.join(names)}: {setting}") for (step, setting), names in rows.items()]
    shown = [table(("step", "layers and their settings"), listed)] if listed else []
    more = [f"  the settings at {_number(left_out, 'more point')} are not listed"] if left_out else []
    return "\n".join([*shown, *more])


_MODEST = 1.25  # a speed-up that every sweep should be able to claim
_PRECISION = ("processes", "target_ci", "budget_s", "wait_s")


def _timing(runs: Iterable[Run]) -> list[dict[str, float]]:
    """Return how many comparisons are timed how precisely: what preset and file come to; points may differ."""
    counts: Counter[tuple[float, ...]] = Counter()
    for run in runs:
        asked = run.benchmark
        counts[tuple(getattr(asked, name) for name in _PRECISION)] += len(asked.batch_sizes) * len(asked.threads)
    return [{"comparisons": count, **dict(zip(_PRECISION, values, strict=True))} for values, count in counts.items()]


def _timing_of_cases(experiment: Experiment, plan: Plan, wanted: frozenset[str] | None) -> list[dict[str, float]]:
    """Return the same of a comparison of frameworks."""
    count = sum(node.stage == "framework" and (wanted is None or node.id in wanted) for node in plan.nodes)
    asked = experiment.frameworks
    return [{"comparisons": count, **{name: getattr(asked, name) for name in _PRECISION}}] if asked and count else []


def _without_pytorch(plan: Plan, wanted: frozenset[str] | None) -> str:
    """Say that a comparison of frameworks will compare nothing, before minutes are spent on it."""
    cases = [node for node in plan.nodes if node.stage == "framework" and (wanted is None or node.id in wanted)]
    if not cases or cases[0].spec["torch"] is not None:
        return ""
    return 'warning: PyTorch is not installed, so ours is timed alone: pip install "tinytorch-pipeline[peers]"'


def _ablated(plan: Plan, wanted: frozenset[str] | None) -> list[Run]:
    """Return the ablated point, timed at its first batch size and thread count, for each comparison of an ablation."""
    if plan.ablation is None or (wanted is not None and plan.ablation not in wanted):
        return []
    known = {nodes.benchmark for nodes in plan.runs}
    count = sum(node.stage in ("benchmark", "generate") and node.id not in known for node in plan.nodes)
    index = plan.node(plan.ablation).spec["point"]["index"]
    run = next(nodes.run for nodes in plan.runs if nodes.run.index == index)
    first = run.benchmark._replace(batch_sizes=run.benchmark.batch_sizes[:1], threads=run.benchmark.threads[:1])
    return [run._replace(benchmark=first)] * count


def _ablation_to_come(experiment: Experiment, plan: Plan, wanted: frozenset[str] | None) -> str:
    """Say that an ablation follows, where it is not known yet of which point."""
    if not experiment.ablate or plan.ablation is not None or wanted is not None or not plan.runs:
        return ""
    most = max(len(nodes.steps) for nodes in plan.runs)
    comparisons = _number(2 * most if most > 1 else 0, "comparison")
    return f"then the steps of the point that is submitted, each alone and left out: at most {comparisons} more"


def _timing_line(timing: dict[str, float]) -> str:
    wait = f"; a busy machine is waited for, up to {timing['wait_s']:g} s each" if timing["wait_s"] else ""
    return (
        f"{_number(int(timing['comparisons']), 'comparison')}: {timing['processes']} processes or more for "
        f"±{100 * timing['target_ci']:g} %, {timing['budget_s']:g} s each{wait}"
    )


def _correction_lines(runs: Sequence[Run]) -> Iterator[str]:
    """Say which speed-ups so many points can claim with so few processes, where that leaves out what matters."""
    asked = min((run.benchmark for run in runs), key=lambda benchmark: benchmark.processes, default=None)
    if asked is None or len(runs) < 2:
        return
    least, *more = (
        (processes, least_claim(processes, asked.threshold, len(runs))) for processes in range(asked.processes, 65)
    )
    enough = next((found for found in more if found[1] <= _MODEST), None)
    if least[1] > _MODEST and enough:
        yield (
            f"warning: all {len(runs)} points are claims to be corrected for (Holm): {least[0]} processes that differ "
            f"by 1 % claim a speed-up from {_claimed(least[1])} on, {enough[0]} from {_claimed(enough[1])} "
            f"(benchmark.processes, with a budget_s to match)"
        )


def _claimed(speedup: float) -> str:
    return quantity(speedup, "ratio") if speedup < 1000 else "1,000x"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
