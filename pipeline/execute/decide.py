"""Decides for a node whether its result is already there, and says in words why it is not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.errors import StageFailed
from pipeline.core.event import Outcome
from pipeline.core.experiment import DataSpec
from pipeline.core.keys import Difference, Preimage, action_key, family_key
from pipeline.core.plan import Node, Plan
from pipeline.core.stage import StageInfo
from pipeline.execute.changes import explain, listed, nearest
from pipeline.execute.environment import Environment
from pipeline.store.local import LocalStore
from pipeline.store.record import Artifact, Record

__all__ = ["Decision", "Forecast", "Oracle", "forecast"]

_OTHER_FORM = "results are stored under another form of key by now"


@dataclass(frozen=True)
class Decision:
    """A node's key, the stored record when there is one, and otherwise the reason why the node runs."""

    key: str
    preimage: Preimage
    record: Record | None
    reason: str
    changes: tuple[Difference, ...] = ()
    again: bool = False  # it runs although its result is stored


@dataclass(frozen=True)
class Forecast:
    """What will become of a node: `cached`, `run`, or `may run` when that depends on a result that is not there yet."""

    node: Node
    status: str
    reason: str
    decision: Decision | None


class Oracle:
    """Answers from the store, the stage table and the environment; `fresh` asks measuring stages to measure again."""

    def __init__(self, store: LocalStore, stages: Mapping[str, StageInfo], *, fresh: bool = False) -> None:
        self.store = store
        self.stages = stages
        self.environment = Environment(store)
        self._fresh = fresh
        self._since = time.time()

    def prepare(self, plan: Plan) -> None:
        """Digest the code of all nodes before any of it is imported to run; `confirm` compares with that."""
        for node in plan.nodes:
            self.environment.code.digest(node)

    def decide(self, node: Node, inputs: Mapping[str, Artifact]) -> Decision:
        """Make the node's key from its inputs' content and look it up."""
        preimage = self._preimage(node, {role: artifact.digest for role, artifact in inputs.items()})
        key = action_key(preimage)
        record = self.store.peek(key)
        if record is None:
            return self._miss(key, preimage)
        if missing := self.store.missing(record):
            return Decision(key, preimage, None, f"deleted or cut short: its {listed(missing)}")
        if self._fresh and self.stages[node.stage].measures:
            return Decision(key, preimage, None, "a fresh measurement was asked for", again=True)
        return Decision(key, preimage, record, "")

    def misses_anyway(self, node: Node) -> Decision | None:
        """Decide for a node whose inputs are not known yet: a miss if no stored result agrees in all else, or None."""
        preimage = self._preimage(node, dict.fromkeys(node.inputs, ""))
        if self.store.has_family(family_key(preimage)):
            return None
        return self._miss("", preimage, ignore_inputs=True)

    def confirm(self, node: Node) -> None:
        """Raise StageFailed if what the node's key says of code and data files no longer holds.

        Called after a node ran and before its result is kept: a file that was edited meanwhile may or may not have
        been read in its new form, so the result belongs to neither key.
        """
        in_new_process = self.stages[node.stage].measures
        if edited := self.environment.code.edited(node, in_new_process=in_new_process):
            raise StageFailed(f"the code of {listed(edited)} was edited during this run; run again")
        if node.stage == "data":
            spec, root = node.spec, node.local.get("root")
            if self.environment.data.digests(DataSpec(spec["name"], root, spec["args"])) != spec["files"]:
                raise StageFailed(f"the files of {spec['name']} changed while they were read; run again")

    def _preimage(self, node: Node, inputs: Mapping[str, str]) -> Preimage:
        info, environment = self.stages[node.stage], self.environment
        code = environment.code.digest(node)
        return Preimage(node.stage, info.version, node.spec, code, inputs, environment.of(node, info))

    def _miss(self, key: str, preimage: Preimage, *, ignore_inputs: bool = False) -> Decision:
        found = nearest(self.store.recent(preimage.topic, self._since), preimage, ignore_inputs=ignore_inputs)
        if found is None:
            return Decision(key, preimage, None, "new")
        changes = found[1]
        reason = explain(changes, self.environment.code.changed) if changes else _OTHER_FORM
        return Decision(key, preimage, None, reason, changes)


def forecast(plan: Plan, oracle: Oracle) -> tuple[Forecast, ...]:
    """Say for each node, before anything runs, what a run would do with it."""
    outputs: dict[str, Mapping[str, Artifact]] = {}
    result = []
    for node in plan.nodes:
        waiting = dict.fromkeys(plan.node(ref.node).stage for ref in node.inputs.values() if ref.node not in outputs)
        if waiting:
            miss = oracle.misses_anyway(node)
            status, reason = (
                ("run", miss.reason) if miss else ("may run", f"if {listed(tuple(waiting))} changes its input")
            )
            result.append(Forecast(node, status, reason, None))
            continue
        decision = oracle.decide(node, {role: outputs[ref.node][ref.role] for role, ref in node.inputs.items()})
        if decision.record:
            outputs[node.id] = decision.record.outputs
        status = Outcome.CACHED.value if decision.record else "run"
        result.append(Forecast(node, status, decision.reason, decision))
    return tuple(result)
