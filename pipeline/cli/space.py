"""What is known of a search before it runs: strategy, trials, the space, and how far its results are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.cli.console import safe
from pipeline.core.experiment import Experiment, as_json
from pipeline.core.plan import Plan
from pipeline.core.search import SearchSpec, objectives, rungs, search_of

__all__ = ["search_document", "search_text"]


def search_document(experiment: Experiment, plan: Plan) -> dict[str, Any] | None:
    """Return the search as JSON values, None where points are listed; `known` counts trials whose points are known."""
    spec = search_of(experiment.document)
    if spec is None:
        return None
    known = plan.node(plan.submit).spec["search"]
    return {
        "strategy": spec.strategy,
        "seed": spec.seed,
        "trials": spec.trials,
        "batch": spec.batch,
        "objectives": known["objectives"],
        "axes": as_json(spec.axes),
        "rungs": [{"resource": rung.resource, "points": rung.points} for rung in rungs(spec)],
        "most_points": spec.most_points * len(experiment.document["seeds"]),
        "known": sum(rung["points"] for rung in known["rungs"]) if spec.resource else known["trials"],
    }


def search_text(experiment: Experiment, plan: Plan) -> str:
    """Return the search in words, "" where points are listed."""
    spec, document = search_of(experiment.document), search_document(experiment, plan)
    if spec is None or document is None:
        return ""
    total = spec.most_points
    known = "all known" if document["known"] == total else f"{document['known']:,} of {total:,} known so far"
    wishes = ", ".join(objectives([as_json(goal) for goal in experiment.goals], spec.strategy))
    head = f"searched by {spec.strategy} (seed {spec.seed}) to {wishes}: {_rounds(spec)}; {known}"
    width = max(map(len, spec.axes))
    lines = [f"  {name:<{width}}  {_range(distribution)}" for name, distribution in spec.axes.items()]
    return safe("\n".join([head, *lines]))


def _rounds(spec: SearchSpec) -> str:
    if spec.resource:
        steps = ", ".join(f"{rung.points:,} with {rung.resource:g}" for rung in rungs(spec))
        return f"points by {spec.resource.axis}: {steps}"
    return f"{spec.trials:,} trials in rounds of {spec.batch:,}"


def _range(distribution: Mapping[str, Any]) -> str:
    ((kind, values),) = distribution.items()
    if kind == "choice":
        return f"one of {', '.join(map(json.dumps, values))}"
    words = {"uniform": "", "log_uniform": ", logarithmic", "integers": ", whole numbers"}
    return f"{values[0]:g} to {values[1]:g}{words[kind]}"
