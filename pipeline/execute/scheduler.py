"""Walks the plan: takes what is stored, has the rest executed, and goes on beside a failure with what it can."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.core.event import Event, Outcome
from pipeline.core.keys import Preimage
from pipeline.core.plan import Node, Plan
from pipeline.core.stage import StageInfo
from pipeline.execute.decide import Oracle
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Artifact, Record

__all__ = ["EXECUTORS", "Executor", "MakeExecutor", "NodeResult", "execute_plan", "executor_named"]

# Loaded when the first node has to run: an executor imports numpy, a fully cached run needs none.
EXECUTORS = {"inline": "pipeline.execute.inline:InlineExecutor"}


class Executor(Protocol):
    """Computes one node and commits its record."""

    def run(self, node: Node, key: str, preimage: Preimage, inputs: Mapping[str, Artifact], again: bool) -> Record:
        """Return the committed record; what the stage raises passes through."""


MakeExecutor = Callable[[LocalStore, Mapping[str, StageInfo]], Executor]


@dataclass(frozen=True)
class NodeResult:
    """How one node ended; `record` is None when it failed or was skipped, `error` what the stage raised."""

    node: Node
    outcome: Outcome
    reason: str
    record: Record | None
    error: Exception | None = None


def execute_plan(
    plan: Plan, oracle: Oracle, emit: Callable[[Event], None], make_executor: MakeExecutor | None = None
) -> dict[str, NodeResult]:
    """Bring every node of the plan up to date; return the results by node id, in plan order.

    A stage's exception ends its own branch only; KeyboardInterrupt passes through, and all that was committed stays.
    The executor is made when the first node has to run (default: inline).
    """
    results: dict[str, NodeResult] = {}
    runner = _LazyExecutor(make_executor or executor_named("inline"), oracle)
    for node in plan.nodes:
        result = _settle(node, results, oracle, runner, emit)
        if isinstance(result.error, CorruptObject):
            _restore(results, oracle, runner, emit)
            result = _settle(node, results, oracle, runner, emit)
        results[node.id] = result
        seconds = result.record.seconds if result.record and result.outcome is Outcome.RAN else 0.0
        note = str(result.error) if result.error else ""
        emit(Event(node.id, node.label, result.outcome, result.reason, seconds, note))
    return results


def executor_named(name: str) -> MakeExecutor:
    """Return what makes the executor with this name; its module is imported when it is made."""

    def make(store: LocalStore, stages: Mapping[str, StageInfo]) -> Executor:
        module, _, attribute = EXECUTORS[name].partition(":")
        executor: Executor = getattr(importlib.import_module(module), attribute)(store, stages)
        return executor

    return make


class _LazyExecutor:
    def __init__(self, make: MakeExecutor, oracle: Oracle) -> None:
        self._make = make
        self._oracle = oracle

    @functools.cached_property
    def executor(self) -> Executor:
        return self._make(self._oracle.store, self._oracle.stages)


def _restore(
    results: dict[str, NodeResult], oracle: Oracle, runner: _LazyExecutor, emit: Callable[[Event], None]
) -> None:
    """Compute again what lost an artifact: a damaged one is set aside when it is read, so it now counts as missing."""
    for node_id, result in results.items():
        if result.record and oracle.store.missing(result.record):
            results[node_id] = _settle(result.node, results, oracle, runner, emit)


def _settle(
    node: Node,
    results: Mapping[str, NodeResult],
    oracle: Oracle,
    runner: _LazyExecutor,
    emit: Callable[[Event], None],
) -> NodeResult:
    inputs: dict[str, Artifact] = {}
    for role, ref in node.inputs.items():
        record = results[ref.node].record
        if record is None:
            return NodeResult(node, Outcome.SKIPPED, f"{results[ref.node].node.label} gave no result", None)
        inputs[role] = record.outputs[ref.role]
    decision = oracle.decide(node, inputs)
    if decision.record:
        return NodeResult(node, Outcome.CACHED, "", decision.record)
    emit(Event(node.id, node.label, None, decision.reason))
    known = oracle.store.get(decision.key) is not None
    try:
        record = runner.executor.run(node, decision.key, decision.preimage, inputs, again=known)
    except (
        Exception
    ) as error:  # whatever a stage raises ends its branch, is reported with its traceback, and fails the run
        return NodeResult(node, Outcome.FAILED, decision.reason, None, error)
    return NodeResult(node, Outcome.RAN, decision.reason, record)
