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
from pipeline.execute.decide import Oracle
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Artifact, Record

__all__ = ["EXECUTORS", "Executor", "MakeExecutor", "NodeResult", "execute_plan", "executor_named"]

# Loaded when the first node has to run: an executor imports numpy, a fully cached run needs none.
EXECUTORS = {"inline": "pipeline.execute.inline:InlineExecutor"}


class Executor(Protocol):
    """Computes one node and commits its record."""

    def run(
        self,
        node: Node,
        key: str,
        preimage: Preimage,
        inputs: Mapping[str, Artifact],
        again: bool,
        say: Callable[[str], None],
    ) -> tuple[Record, Outcome]:
        """Return the committed record, and CACHED if another process made it meanwhile; a stage's error passes.

        `say` is handed to the stage.
        """


MakeExecutor = Callable[[Oracle], Executor]


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
    oracle.prepare(plan)
    walk = _Walk(oracle, emit, make_executor or executor_named("inline"))
    for node in plan.nodes:
        walk.settle(node)
    return walk.results


def executor_named(name: str) -> MakeExecutor:
    """Return what makes the executor with this name; its module is imported when it is made."""

    def make(oracle: Oracle) -> Executor:
        module, _, attribute = EXECUTORS[name].partition(":")
        executor: Executor = getattr(importlib.import_module(module), attribute)(oracle)
        return executor

    return make


class _Walk:
    """One way through a plan; `results` grows node by node."""

    def __init__(self, oracle: Oracle, emit: Callable[[Event], None], make: MakeExecutor) -> None:
        self.results: dict[str, NodeResult] = {}
        self._oracle = oracle
        self._emit = emit
        self._make = make

    @functools.cached_property
    def _executor(self) -> Executor:
        return self._make(self._oracle)

    def settle(self, node: Node) -> None:
        """Bring one node up to date; each input that turns out to be damaged is made again once."""
        result = self._attempt(node)
        healed = set()
        while isinstance(result.error, CorruptObject) and result.error.digest not in healed:
            healed.add(result.error.digest)
            self._restore()
            result = self._attempt(node)
        self.results[node.id] = result
        seconds = result.record.seconds if result.record and result.outcome is Outcome.RAN else 0.0
        note = str(result.error) if result.error else ""
        self._emit(Event(node.id, node.label, result.outcome, result.reason, seconds, note))

    def _restore(self) -> None:
        """Compute again what lost an artifact: a damaged one is set aside when it is read, so it counts as missing."""
        for node_id in list(self.results):
            record = self.results[node_id].record
            if record and self._oracle.store.missing(record):
                self.settle(self.results[node_id].node)

    def _attempt(self, node: Node) -> NodeResult:
        inputs: dict[str, Artifact] = {}
        for role, ref in node.inputs.items():
            record = self.results[ref.node].record
            if record is None:
                reason = f"{self.results[ref.node].node.label} gave no result"
                return NodeResult(node, Outcome.SKIPPED, reason, None)
            inputs[role] = record.outputs[ref.role]
        decision = self._oracle.decide(node, inputs)
        if decision.record:
            return NodeResult(node, Outcome.CACHED, "", decision.record)
        self._emit(Event(node.id, node.label, None, decision.reason))
        known = self._oracle.store.get(decision.key) is not None
        say = functools.partial(self._say, node)
        try:
            record, outcome = self._executor.run(node, decision.key, decision.preimage, inputs, again=known, say=say)
        except (
            Exception
        ) as error:  # whatever a stage raises ends its branch, is reported with its traceback, and fails the run
            return NodeResult(node, Outcome.FAILED, decision.reason, None, error)
        return NodeResult(node, outcome, decision.reason, record)

    def _say(self, node: Node, text: str) -> None:
        self._emit(Event(node.id, node.label, None, said=text))
