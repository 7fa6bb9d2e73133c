"""Decides for a node whether its result is already there, and says in words why it is not."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.event import Outcome
from pipeline.core.keys import Difference, Preimage, action_key, differences
from pipeline.core.plan import Node, Plan
from pipeline.core.stage import StageInfo
from pipeline.execute.environment import Environment
from pipeline.store.local import LocalStore
from pipeline.store.record import Artifact, Record

__all__ = ["Decision", "Forecast", "Oracle", "forecast"]


@dataclass(frozen=True)
class Decision:
    """A node's key, the stored record when there is one, and otherwise the reason why the node runs."""

    key: str
    preimage: Preimage
    record: Record | None
    reason: str
    changes: tuple[Difference, ...] = ()


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

    def decide(self, node: Node, inputs: Mapping[str, Artifact]) -> Decision:
        """Make the node's key from its inputs' content and look it up."""
        info = self.stages[node.stage]
        digests = {role: artifact.digest for role, artifact in inputs.items()}
        code = self.environment.code.digest(node)
        preimage = Preimage(node.stage, info.version, node.spec, code, digests, self.environment.of(info))
        key = action_key(preimage)
        record = self.store.peek(key)
        if record is None:
            return self._miss(key, preimage)
        if missing := self.store.missing(record):
            return Decision(key, preimage, None, f"its stored {_listed(missing)} was deleted or cut short")
        if self._fresh and info.measures:
            return Decision(key, preimage, None, "a fresh measurement was asked for")
        return Decision(key, preimage, record, "")

    def misses_anyway(self, node: Node) -> Decision | None:
        """Decide for a node whose inputs are not known yet: a miss if no stored result agrees in all else, or None."""
        info = self.stages[node.stage]
        unknown = dict.fromkeys(node.inputs, "")
        code = self.environment.code.digest(node)
        preimage = Preimage(node.stage, info.version, node.spec, code, unknown, self.environment.of(info))
        decision = self._miss("", preimage)
        changes = tuple(change for change in decision.changes if change.component != "inputs")
        if decision.changes and not changes:
            return None
        reason = self._explain(changes) if changes else decision.reason
        return dataclasses.replace(decision, reason=reason, changes=changes)

    def _miss(self, key: str, preimage: Preimage) -> Decision:
        nearest: tuple[Difference, ...] | None = None
        for record in self.store.recent(preimage.stage):
            if record.preimage.params.get("pass") != preimage.params.get("pass"):
                continue  # another pass's result explains nothing
            if record.finished_at > self._since:
                continue  # and one from this very run does not say what changed since the last
            changes = differences(record.preimage, preimage)
            if nearest is None or _distance(changes) < _distance(nearest):
                nearest = changes
        if nearest is None:
            return Decision(key, preimage, None, "new")
        return Decision(key, preimage, None, self._explain(nearest), nearest)

    def _explain(self, changes: tuple[Difference, ...]) -> str:
        return "; ".join([*self._sentences(changes[:3]), *(["…"] if len(changes) > 3 else [])])

    def _sentences(self, changes: tuple[Difference, ...]) -> Iterator[str]:
        for change in changes:
            if change.component == "code":
                modules = self.environment.code.changed(change.before, change.after)
                yield f"code of {_listed(modules)} changed" if modules else "code changed"
            elif change.component == "inputs":
                yield f"input {change.name} changed"
            else:
                yield f"{_last(change.name)} {_short(change.before)} → {_short(change.after)}"


def forecast(plan: Plan, oracle: Oracle) -> tuple[Forecast, ...]:
    """Say for each node, before anything runs, what a run would do with it."""
    outputs: dict[str, Mapping[str, Artifact]] = {}
    result = []
    for node in plan.nodes:
        waiting = dict.fromkeys(plan.node(ref.node).stage for ref in node.inputs.values() if ref.node not in outputs)
        if waiting:
            miss = oracle.misses_anyway(node)
            status, reason = (
                ("run", miss.reason) if miss else ("may run", f"if {_listed(tuple(waiting))} changes its input")
            )
            result.append(Forecast(node, status, reason, None))
            continue
        decision = oracle.decide(node, {role: outputs[ref.node][ref.role] for role, ref in node.inputs.items()})
        if decision.record:
            outputs[node.id] = decision.record.outputs
        status = Outcome.CACHED.value if decision.record else "run"
        result.append(Forecast(node, status, decision.reason, decision))
    return tuple(result)


def _distance(changes: tuple[Difference, ...]) -> tuple[int, int]:
    """Order candidates for an explanation: a person calls steps with the same parameters the same."""
    return sum(change.component == "params" for change in changes), len(changes)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:21]}…"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
