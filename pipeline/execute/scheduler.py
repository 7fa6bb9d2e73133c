"""Walks the plan: takes what is stored, has the rest executed as soon as its inputs are there, and goes on beside a
failure with what it can.

All decisions and all events happen on the thread that called; executors report through an inbox. Of what is ready,
nodes that do not measure start first, in plan order: so that a measurement, which runs alone on its machine, keeps
nothing else waiting.
"""

from __future__ import annotations

import functools
import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.errors import InternalError, StoreUnwritable, UserError, WorkerLost, trace
from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Node, Plan
from pipeline.execute.decide import FORCED, Decision, Oracle
from pipeline.execute.executor import Executor, MakeExecutor, make_executor
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import UNLIMITED, Limits
from pipeline.execute.task import Task
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Artifact, Record

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["NodeResult", "execute_plan"]

_MOST_LOSSES = 3  # a node that ends its process this often is to blame, not the machine


class NodeResult(NamedTuple):
    """How one node ended; `record` is None when it failed or was skipped, `error` what the stage raised."""

    node: Node
    outcome: Outcome
    reason: str
    record: Record | None
    error: Exception | None = None


def execute_plan(
    plan: Plan,
    oracle: Oracle,
    emit: Callable[[Event], None],
    limits: Limits = UNLIMITED,
    *,
    stop: Stop | None = None,
    make: MakeExecutor = make_executor,
) -> dict[str, NodeResult]:
    """Bring the plan, or what the limits want of it, up to date; return the results by node id, in plan order.

    A stage's exception ends its own branch only. Once `stop` is requested, or after a failure if the limits say so,
    nothing new starts; what did not start is skipped. KeyboardInterrupt passes through, and all that was committed
    stays. The executor is made when the first node has to run.
    """
    oracle.prepare(plan)
    nodes = [node for node in plan.nodes if limits.wanted is None or node.id in limits.wanted]
    walk = _Walk(nodes, oracle, emit, limits, stop or Stop(), make)
    is_finished = False
    try:
        walk.walk()
        is_finished = True
    finally:
        walk.close(now=not is_finished)
    return {node.id: walk.result(node) for node in nodes}


class _Ready(NamedTuple):
    """A node that could start: its task, and why it runs."""

    task: Task
    reason: str
    attempt: int

    @property
    def node(self) -> Node:
        return self.task.node


class _Trouble(NamedTuple):
    """What a node has been through: lost processes, failures, damaged inputs that were made again."""

    losses: int = 0
    failures: int = 0
    reason: str = ""
    healed: frozenset[str] = frozenset()


class _Walk:
    """One way through a plan; `results` grows node by node, and loses a node whose artifact was damaged."""

    def __init__(
        self,
        nodes: Sequence[Node],
        oracle: Oracle,
        emit: Callable[[Event], None],
        limits: Limits,
        stop: Stop,
        make: MakeExecutor,
    ) -> None:
        self._nodes = nodes
        self._oracle = oracle
        self._emit = emit
        self._limits = limits
        self._stop = stop
        self._make = make
        self._results: dict[str, NodeResult] = {}
        self._open: deque[Node] = deque()  # to be looked at: all that feeds them has ended
        self._waiting: dict[str, list[Node]] = {}  # node id -> those that wait for it
        self._missing: dict[str, int] = {}  # id of a waiting node -> how many it waits for
        self._plain: list[tuple[int, _Ready]] = []  # heaps by place in the plan
        self._measuring: list[tuple[int, _Ready]] = []
        self._in_flight: dict[str, _Ready] = {}
        self._trouble: dict[str, _Trouble] = {}
        self._gave_up = False
        self._thread = threading.get_ident()
        self._inbox: SimpleQueue[tuple[_Ready, Future[tuple[Record, Outcome]] | str]] = SimpleQueue()

    @functools.cached_property
    def _executor(self) -> Executor:
        return self._make(self._oracle, self._limits)

    @functools.cached_property
    def _place(self) -> dict[str, int]:
        return {node.id: place for place, node in enumerate(self._nodes)}

    def walk(self) -> None:
        """Settle every node that can be; returns when nothing runs any more."""
        for node in self._nodes:
            if self._stop.requested:
                break
            self._look_at(node)
        while True:
            while self._open:
                self._look_at(self._open.popleft())
            while ready := self._next():
                self._start(ready)
            if not self._in_flight:
                return
            ready, news = self._inbox.get()
            if isinstance(news, str):
                self._tell(ready.node, said=news)
            else:
                self._end(ready, news)

    def result(self, node: Node) -> NodeResult:
        """Return how a node ended; what was not started is skipped."""
        if node.id in self._results:
            return self._results[node.id]
        if not (self._stop.requested or self._gave_up):
            raise InternalError(f"{node.label} was neither executed nor skipped")
        reason = "the run was stopped" if self._stop.requested else "something else failed before"
        return NodeResult(node, Outcome.SKIPPED, reason, None)

    def close(self, *, now: bool) -> None:
        """Close the executor if there is one."""
        if "_executor" in self.__dict__:
            self._executor.close(now=now)

    def _look_at(self, node: Node) -> None:
        """Settle a node that is stored or cannot run; make it ready, or let it wait for what feeds it."""
        inputs: dict[str, Artifact] = {}
        missing: set[str] = set()
        for role, ref in node.inputs.items():
            source = self._results.get(ref.node)
            if source is None:
                missing.add(ref.node)
            elif source.record is None:
                reason = f"{source.node.label} gave no result"
                self._settle(NodeResult(node, Outcome.SKIPPED, reason, None))
                return
            else:
                inputs[role] = source.record.outputs[ref.role]
        if missing:
            self._missing[node.id] = len(missing)
            for node_id in missing:
                self._waiting.setdefault(node_id, []).append(node)
            return
        decision = self._decide(node, inputs)
        if decision.record:
            self._settle(NodeResult(node, Outcome.CACHED, "", decision.record))
            return
        task = Task(node, decision.key, decision.preimage, inputs, decision.again)
        trouble = self._trouble.get(node.id, _Trouble())
        ready = _Ready(task, trouble.reason or decision.reason, 1 + trouble.losses + trouble.failures)
        heap = self._measuring if self._measures(node) else self._plain
        heapq.heappush(heap, (self._place[node.id], ready))

    def _decide(self, node: Node, inputs: dict[str, Artifact]) -> Decision:
        decision = self._oracle.decide(node, inputs)
        if decision.record and node.stage in self._limits.force and not self._oracle.is_new(decision.record):
            return decision._replace(record=None, reason=FORCED, again=True)
        return decision

    def _measures(self, node: Node) -> bool:
        return self._oracle.stages[node.stage].measures

    def _next(self) -> _Ready | None:
        """Take what may start now off its heap."""
        if self._stop.requested or self._gave_up:
            return None
        if not (self._plain or self._measuring) or len(self._in_flight) >= self._executor.slots:
            return None
        alone = self._executor.is_one_machine
        if alone and any(self._measures(ready.node) for ready in self._in_flight.values()):
            return None
        if self._plain:
            return heapq.heappop(self._plain)[1]
        return None if alone and self._in_flight else heapq.heappop(self._measuring)[1]

    def _start(self, ready: _Ready) -> None:
        node = ready.node
        self._in_flight[node.id] = ready
        self._tell(node, reason=ready.reason, attempt=ready.attempt, key=ready.task.key)
        future = self._executor.submit(ready.task, functools.partial(self._say, ready))
        future.add_done_callback(lambda done: self._inbox.put((ready, done)))

    def _say(self, ready: _Ready, text: str) -> None:
        """Pass on what a stage says: at once, unless another thread says it."""
        if threading.get_ident() == self._thread:
            self._tell(ready.node, said=text)
        else:
            self._inbox.put((ready, text))

    def _end(self, ready: _Ready, future: Future[tuple[Record, Outcome]]) -> None:
        node = ready.node
        del self._in_flight[node.id]
        error = future.exception()
        if error is None:
            record, outcome = future.result()
            self._settle(NodeResult(node, outcome, ready.reason, record), ready.attempt)
        elif not isinstance(error, Exception):
            raise error
        elif isinstance(error, CorruptObject) and self._heal(node, error.digest):
            self._tell(node, said=f"{error}; it is computed again")
            self._open.append(node)
        elif again := self._another_attempt(node, error):
            self._trouble[node.id] = again
            self._open.append(node)
        else:
            if isinstance(error, WorkerLost):
                error = _blamed(error)
            # Where nothing can be kept, nothing is worth computing.
            self._gave_up |= self._limits.fail_fast or isinstance(error, StoreUnwritable)
            self._settle(NodeResult(node, Outcome.FAILED, ready.reason, None, error), ready.attempt)

    def _another_attempt(self, node: Node, error: Exception) -> _Trouble | None:
        """Return the node's trouble with this error added if the node is to be tried again."""
        before = self._trouble.get(node.id, _Trouble())
        if isinstance(error, WorkerLost):
            after, most = before._replace(losses=before.losses + 1), _MOST_LOSSES
            return after._replace(reason=_again(error)) if after.losses < most else None
        if isinstance(error, UserError | StoreUnwritable) or before.failures >= self._limits.retries:
            return None
        return before._replace(failures=before.failures + 1, reason=_again(error))

    def _heal(self, node: Node, digest: str) -> bool:
        """Have an input made again that turned out to be damaged, once; the node then waits for it.

        A damaged object is set aside when it is read, so that it counts as missing and its node is not cached.
        """
        trouble = self._trouble.get(node.id, _Trouble())
        if digest in trouble.healed:
            return False
        self._trouble[node.id] = trouble._replace(healed=trouble.healed | {digest})
        for source in self._sources(node):
            if source.record and self._oracle.store.missing(source.record):
                del self._results[source.node.id]
                self._open.append(source.node)
        return True

    def _sources(self, node: Node) -> Iterable[NodeResult]:
        ids = dict.fromkeys(ref.node for ref in node.inputs.values())
        return [self._results[node_id] for node_id in ids if node_id in self._results]

    def _settle(self, result: NodeResult, attempt: int = 1) -> None:
        """Keep a result, tell it, and let go on what waited for it."""
        node, record, error = result.node, result.record, result.error
        self._results[node.id] = result
        self._emit(
            Event(
                node.id,
                node.label,
                result.outcome,
                result.reason,
                seconds=record.seconds if record and result.outcome is Outcome.RAN else 0.0,
                note=str(error) if error else "",
                measures=self._measures(node),
                attempt=attempt,
                error=trace(error) if error else "",
                key=record.key if record else "",
            )
        )
        for other in self._waiting.pop(node.id, ()):
            self._missing[other.id] -= 1
            if not self._missing[other.id]:
                del self._missing[other.id]
                self._open.append(other)

    def _tell(self, node: Node, *, reason: str = "", said: str = "", attempt: int = 1, key: str = "") -> None:
        measures = self._measures(node)
        self._emit(Event(node.id, node.label, None, reason, said=said, measures=measures, attempt=attempt, key=key))


def _again(error: Exception) -> str:
    return f"again, after {type(error).__name__}: {error}"


def _blamed(error: WorkerLost) -> WorkerLost:
    """Return the error of a node that lost every process it was given."""
    blamed = WorkerLost(f"it killed its worker three times; the last time, {error.message}", hint=error.hint)
    blamed.__cause__ = error
    return blamed
