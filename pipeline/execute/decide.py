"""Decides for a node whether its result is already there, and says in words why it is not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.core.errors import StageFailed
from pipeline.core.event import Outcome
from pipeline.core.experiment import DataSpec
from pipeline.core.keys import Difference, KeyFrame, Preimage
from pipeline.core.plan import Node, Plan
from pipeline.core.stage import StageInfo
from pipeline.execute.changes import explain, listed, nearest
from pipeline.execute.environment import Environment
from pipeline.store.local import LocalStore
from pipeline.store.record import Artifact, Record

__all__ = ["Decision", "FORCED", "Forecast", "Oracle", "forecast"]

FORCED = "it was asked for again"
_OTHER_FORM = "results are stored under another form of key by now"


class Decision(NamedTuple):
    """A node's key, the stored record when there is one, and otherwise the reason why the node runs."""

    key: str
    preimage: Preimage
    record: Record | None
    reason: str
    changes: tuple[Difference, ...] = ()
    again: bool = False  # it runs although its result is stored


class Forecast(NamedTuple):
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
        self._surroundings: dict[_Kind, _Surroundings] = {}
        self._recent: dict[str, tuple[list[Record], Iterator[Record]]] = {}

    def prepare(self, plan: Plan) -> None:
        """Digest the code of all nodes before any of it is imported to run; `confirm` compares with that."""
        for node in plan.nodes:
            self._around(node)

    def decide(self, node: Node, inputs: Mapping[str, Artifact]) -> Decision:
        """Make the node's key from its inputs' content and look it up."""
        around = self._around(node)
        preimage = around.preimage(node, {role: artifact.digest for role, artifact in inputs.items()})
        key = around.frame.key(preimage.params, preimage.inputs)
        record = self.store.peek(key, preimage)
        if record is None:
            return self._miss(key, preimage)
        if missing := self.store.missing(record):
            return Decision(key, preimage, None, f"deleted or cut short: its {listed(missing)}")
        if self._fresh and self.stages[node.stage].measures and not self.is_new(record):
            return Decision(key, preimage, None, "a fresh measurement was asked for", again=True)
        return Decision(key, preimage, record, "")

    def is_new(self, record: Record) -> bool:
        """Tell whether a record was made since this oracle was: it answers a wish to compute or measure again."""
        return record.finished_at >= self._since

    def misses_anyway(self, node: Node) -> Decision | None:
        """Decide for a node whose inputs are not known yet: a miss if no stored result agrees in all else, or None."""
        around = self._around(node)
        preimage = around.preimage(node, dict.fromkeys(node.inputs, ""))
        if self.store.has_family(around.frame.key(preimage.params, preimage.inputs)):
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

    def _around(self, node: Node) -> _Surroundings:
        """Return what this node's key shares with those of its kind: it is found and encoded once."""
        kind = node.stage, node.code_roots, node.writers, tuple(node.outputs.items())
        if kind not in self._surroundings:
            info, environment = self.stages[node.stage], self.environment
            shared = info.version, environment.code.digest(node), environment.of(node, info)
            self._surroundings[kind] = _Surroundings(*shared, KeyFrame(node.stage, *shared))
        return self._surroundings[kind]

    def _miss(self, key: str, preimage: Preimage, *, ignore_inputs: bool = False) -> Decision:
        found = None
        if any(True for _ in self._known(preimage.topic)):  # else nothing like it can be there
            alike = self.store.alike(preimage, self._since)
            found = nearest(alike, preimage, ignore_inputs=ignore_inputs) or nearest(
                self._known(preimage.topic), preimage, ignore_inputs=ignore_inputs
            )
        if found is None:
            return Decision(key, preimage, None, "new")
        changes = found[1]
        reason = explain(changes, self.environment.code.changed) if changes else _OTHER_FORM
        return Decision(key, preimage, None, reason, changes)

    def _known(self, topic: str) -> Iterator[Record]:
        """Yield the newest records of a topic from before this run; each is read when it is first needed, and kept."""
        if topic not in self._recent:
            self._recent[topic] = [], self.store.recent(topic, self._since)
        known, rest = self._recent[topic]
        yield from known
        for record in rest:
            known.append(record)
            yield record


class _Surroundings(NamedTuple):
    """What the keys of all nodes with the same stage and code share."""

    version: int
    code: str
    environment: Mapping[str, str]
    frame: KeyFrame

    def preimage(self, node: Node, inputs: Mapping[str, str]) -> Preimage:
        return Preimage(node.stage, self.version, node.spec, self.code, inputs, self.environment)


# A node's stage, its code_roots and writers, and its outputs with their codecs.
_Kind = tuple[str, tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]


def forecast(
    plan: Plan, oracle: Oracle, *, wanted: frozenset[str] | None = None, force: frozenset[str] = frozenset()
) -> tuple[Forecast, ...]:
    """Say for each node, before anything runs, what a run would do with it.

    Only for the ids in `wanted`, which hold all that feeds them (None: the whole plan); nodes of the stages in `force`
    run in any case.
    """
    outputs: dict[str, Mapping[str, Artifact]] = {}
    result = []
    for node in plan.nodes:
        if wanted is not None and node.id not in wanted:
            continue
        waiting = dict.fromkeys(plan.node(ref.node).stage for ref in node.inputs.values() if ref.node not in outputs)
        if waiting:
            status, reason = _before_its_inputs(node, tuple(waiting), oracle, is_forced=node.stage in force)
            result.append(Forecast(node, status, reason, None))
            continue
        decision = oracle.decide(node, {role: outputs[ref.node][ref.role] for role, ref in node.inputs.items()})
        if decision.record and node.stage in force:
            decision = decision._replace(record=None, reason=FORCED)
        if decision.record:
            outputs[node.id] = decision.record.outputs
        status = Outcome.CACHED.value if decision.record else "run"
        result.append(Forecast(node, status, decision.reason, decision))
    return tuple(result)


def _before_its_inputs(node: Node, waiting: tuple[str, ...], oracle: Oracle, *, is_forced: bool) -> tuple[str, str]:
    """Return status and reason of a node while the results of other stages, which feed it, are not there."""
    if miss := oracle.misses_anyway(node):
        return "run", miss.reason
    return ("run", FORCED) if is_forced else ("may run", f"if {listed(waiting)} changes its input")
