"""The points of an experiment's search: those that are known without computing anything, and all of them.

A round of points is a plan of its own, up to the judges; the session that executes it makes the last plan, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.config.runs import with_points
from pipeline.core.event import Outcome
from pipeline.core.experiment import Experiment, as_json
from pipeline.core.plan import Node, Plan, make_plan
from pipeline.core.search import Score, SearchSpec, objectives, search_of
from pipeline.core.subset import ancestors
from pipeline.core.sweep import Point
from pipeline.execute.catalog import make_catalog
from pipeline.execute.decide import Oracle
from pipeline.execute.session import Session
from pipeline.search.asking import Asking, sampler_name
from pipeline.search.explore import Found, explore
from pipeline.search.study import Diverged
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Artifact

__all__ = ["known_points", "searched"]


def known_points(experiment: Experiment, oracle: Oracle) -> tuple[Experiment, dict[str, Any], bool]:
    """Return what `searched` would, as far as results are stored; nothing is computed, nor asked for.

    The last points may have no results yet.
    """
    spec = _search_of(experiment)
    plans = _Plans(experiment, oracle)
    asking = Asking(spec, _objectives(experiment, spec), oracle.store, only_known=True)
    found = explore(spec, asking, lambda points: _stored_scores(plans.of(points), oracle))
    return with_points(experiment, found.points), {"search": _account(experiment, spec, found)}, found.is_complete


def searched(
    experiment: Experiment, session: Session, begin: Callable[[Sequence[Node]], None]
) -> tuple[Experiment, dict[str, Any], bool]:
    """Search, and return the experiment with all points, what its submission says of the search, and whether it ended.

    `begin` is told the nodes of each round before they run. A search does not end if the run is stopped.
    """
    spec = _search_of(experiment)
    plans = _Plans(experiment, session.oracle)
    asking = Asking(spec, _objectives(experiment, spec), session.oracle.store)

    def evaluate(points: Sequence[Point]) -> list[Score | None] | None:
        plan = plans.of(points)
        wanted = ancestors(plan, plan.judges)
        begin([node for node in plan.nodes if node.id in wanted and node.id not in session.results])
        session.execute(plan, wanted)
        return _scores(plan, wanted, session)

    try:
        found = explore(spec, asking, evaluate)
    except Diverged:  # what was remembered comes from another version of something; now all is asked for anew
        found = explore(spec, asking, evaluate)
    return with_points(experiment, found.points), {"search": _account(experiment, spec, found)}, found.is_complete


class _Plans:
    """Makes the plans of points."""

    def __init__(self, experiment: Experiment, oracle: Oracle) -> None:
        self._experiment = experiment
        self._catalog = make_catalog(oracle.environment)

    def of(self, points: Sequence[Point]) -> Plan:
        return make_plan(with_points(self._experiment, points), self._catalog)


def _search_of(experiment: Experiment) -> SearchSpec:
    spec = search_of(experiment.document)
    if spec is None:
        raise ValueError(f"{experiment.name} is no search")
    return spec


def _objectives(experiment: Experiment, spec: SearchSpec) -> int:
    return len(_objective_names(experiment, spec))


def _objective_names(experiment: Experiment, spec: SearchSpec) -> tuple[str, ...]:
    return objectives([as_json(goal) for goal in experiment.goals], spec.strategy)


def _account(experiment: Experiment, spec: SearchSpec, found: Found) -> dict[str, Any]:
    """Return what a submission says of a search."""
    return {
        "strategy": spec.strategy,
        "seed": spec.seed,
        "trials": found.trials,
        "repeated": found.repeated,
        "objectives": list(_objective_names(experiment, spec)),
        "sampler": sampler_name(),
        "rungs": [{"resource": rung.resource, "points": rung.points} for rung in found.rungs],
    }


def _scores(plan: Plan, wanted: frozenset[str], session: Session) -> list[Score | None] | None:
    """Return the scores of a plan that was executed, None for points that failed; None if the run is to end."""
    has_failed = any(session.results[node].outcome is Outcome.FAILED for node in wanted)
    if session.stop.requested or (has_failed and session.limits.fail_fast):
        return None
    scores: list[Score | None] = []
    for judge in plan.judges:
        for is_last in (False, True):
            record = session.results[judge].record
            try:
                scores.append(_read(record.outputs, session.oracle.store) if record else None)
                break
            except CorruptObject:  # it was set aside: its node runs again, once
                if is_last:
                    raise
                session.execute(plan, wanted)
    return scores


def _stored_scores(plan: Plan, oracle: Oracle) -> list[Score | None] | None:
    """Return the scores of a plan whose results are all stored, None if one is missing."""
    wanted = ancestors(plan, plan.judges)
    outputs: dict[str, Mapping[str, Artifact]] = {}
    for node in plan.nodes:
        if node.id in wanted:
            inputs = {role: outputs[ref.node][ref.role] for role, ref in node.inputs.items()}
            record = oracle.decide(node, inputs).record
            if record is None:
                return None
            outputs[node.id] = record.outputs
    try:
        return [_read(outputs[judge], oracle.store) for judge in plan.judges]
    except CorruptObject:
        return None


def _read(outputs: Mapping[str, Artifact], store: LocalStore) -> Score:
    return Score.from_json(json.loads(store.read(outputs["score"].digest)))
