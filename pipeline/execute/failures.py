"""Which points of a sweep failed, at which node and why, so that a submission can be made of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.core.event import Outcome
from pipeline.core.experiment import Run, as_json
from pipeline.core.plan import Plan, RunNodes
from pipeline.core.subset import nodes_of
from pipeline.core.value import text_of
from pipeline.execute.scheduler import NodeResult
from tinytorch.errors import TinyTorchError

__all__ = ["failed_points", "in_words"]

_LONGEST = 1000  # characters of a message that a submission repeats


def failed_points(plan: Plan, results: Mapping[str, NodeResult]) -> tuple[dict[str, Any], ...] | None:
    """Return what a submission says of each run that has no result, in order; None where that is no failure's doing.

    Seeds of one point are judged together, so that a point of which one seed failed failed as a whole. None is the
    answer where a node was not reached for another reason: the run was stopped, or only a part of it was asked for.
    """
    failed = [end for end in results.values() if end.outcome is Outcome.FAILED]
    if not failed:
        return ()
    causes: dict[str, tuple[Run, NodeResult]] = {}  # point -> the first of its runs that failed, and where
    for nodes in plan.runs:
        if cause := _cause(nodes, failed):
            causes.setdefault(_point(nodes), (nodes.run, cause))
        elif not all(node in results and results[node].record for node in nodes_of(nodes)):
            return None
    lost = [(nodes, causes[_point(nodes)]) for nodes in plan.runs if _point(nodes) in causes]
    return tuple(_record(nodes, _cause(nodes, failed), *cause) for nodes, cause in lost)


def in_words(error: Exception | None) -> str:
    """Return an error as a person reads it: what our own say explains itself, others are named by their type."""
    known = isinstance(error, PipelineError | TinyTorchError | ImportError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _point(nodes: RunNodes) -> str:
    return text_of(as_json(nodes.run.point))


def _cause(nodes: RunNodes, failed: Sequence[NodeResult]) -> NodeResult | None:
    """Return the first node of a run that failed, in plan order."""
    ids = nodes_of(nodes)
    return next((end for end in failed if end.node.id in ids), None)


def _record(nodes: RunNodes, own: NodeResult | None, other: Run, cause: NodeResult) -> dict[str, Any]:
    """Return the entry of a run that failed itself, or of which only another seed failed."""
    run, end = nodes.run, own or cause
    reason = f"{'' if own else f'with seed {other.seed} the same point failed: '}{in_words(end.error)}"
    return {
        "index": run.index,
        "label": run.label,
        "seed": run.seed,
        "point": as_json(run.point),
        "node": end.node.label,
        "reason": reason if len(reason) <= _LONGEST else f"{reason[: _LONGEST - 1]}…",
    }
