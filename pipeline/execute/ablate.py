"""The ablation of the chosen point: which point that is, and its plan with what cannot be compared left out.

A step may be impossible where another one is left out: it names a layer that only the other one makes, for example.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from pipeline.core.ablation import with_ablation
from pipeline.core.event import Outcome
from pipeline.core.plan import Node, Plan
from pipeline.execute.catalog import make_catalog
from pipeline.execute.decide import Oracle, forecast
from pipeline.execute.failures import in_words
from pipeline.execute.scheduler import NodeResult
from pipeline.execute.session import Session
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Record
from tinytorch.errors import TinyTorchError

__all__ = ["ablated", "foreseen"]


def ablated(plan: Plan, session: Session, begin: Callable[[Sequence[Node], int], None]) -> Plan:
    """Execute the plan, whose submission may be made already, with the ablation of the point that is submitted.

    Return the plan that was executed. `begin` is told of nodes before they run, and how many of those that it was told
    of do not. Without a submission nothing is done; where the ablation fails, the rest of the plan is executed.
    """
    chosen = _chosen(plan, session)
    if chosen is None:
        return plan
    catalog, lost = make_catalog(session.oracle.environment), dict[str, str]()
    ended = frozenset(session.results)
    begun: set[str] = set()
    while True:
        whole = with_ablation(plan, chosen, catalog, lost)
        nodes = {node.id: node for node in whole.nodes if node.id not in ended}
        begin([node for name, node in nodes.items() if name not in begun], len(begun - nodes.keys()))
        begun = set(nodes)
        with session.replaceable(nodes) as drop:
            session.execute(whole)
            impossible = _impossible(plan, whole, session.results)
            if session.stop.requested or (session.results[whole.report].record and not impossible):
                return whole
            if impossible:
                drop()
        if not impossible:  # but something else failed
            session.results.pop(whole.report)
            session.execute(plan)
            return plan
        lost |= impossible


def foreseen(plan: Plan, oracle: Oracle) -> Plan:
    """Return the plan with its ablation, where it is known which point will be submitted; nothing is executed."""
    chosen = plan.runs[0].run.index if len(plan.runs) == 1 else _stored_choice(plan, oracle)
    return plan if chosen is None else with_ablation(plan, chosen, make_catalog(oracle.environment), {})


def _chosen(plan: Plan, session: Session) -> int | None:
    """Return the index of the submitted point, None without a submission."""
    for is_last in (False, True):
        record = session.results[plan.submit].record if plan.submit in session.results else None
        if record is None:
            return None
        try:
            return _choice(record, session.oracle.store)
        except CorruptObject:  # it was set aside: it is made again, once
            if is_last:
                raise
            session.execute(plan, frozenset(node.id for node in plan.nodes if node.id != plan.report))
    return None


def _stored_choice(plan: Plan, oracle: Oracle) -> int | None:
    found = {each.node.id: each.decision for each in forecast(plan, oracle)}[plan.submit]
    if found is None or found.record is None:
        return None
    try:
        return _choice(found.record, oracle.store)
    except CorruptObject:
        return None


def _choice(record: Record, store: LocalStore) -> int:
    return int(json.loads(store.read(record.outputs["submission"].digest))["selection"]["chosen"])


def _impossible(plan: Plan, whole: Plan, results: Mapping[str, NodeResult]) -> dict[str, str]:
    """Return the steps that cannot be applied without others, and why; other failures are none of theirs."""
    known = {node.id for node in plan.nodes}
    ends = (results[node.id] for node in whole.nodes if node.id not in known and node.id in results)
    return {
        end.node.id: f"{end.node.title}: {in_words(end.error)}"
        for end in ends
        if end.outcome is Outcome.FAILED and end.node.stage == "optimize" and isinstance(end.error, TinyTorchError)
    }
