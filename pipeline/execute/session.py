"""The plans that one run executes: what one of them made, a later one finds and does not tell again.

A sweep with failures has two: the whole, and what is left of it. A search has one for each round of points.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Plan
from pipeline.execute.decide import Oracle
from pipeline.execute.executor import Executor, make_executor
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.execute.task import Task
from pipeline.store.record import Record

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Session"]


class Session:
    """Executes plans with one oracle and one executor; `results` has how each node ended, the latest plan's last.

    Leave its context when the run has ended.
    """

    def __init__(self, oracle: Oracle, emit: Callable[[Event], None], limits: Limits, stop: Stop) -> None:
        self.results: dict[str, NodeResult] = {}
        self.oracle = oracle
        self.limits = limits
        self.stop = stop
        self._emit = emit
        self._executor: Executor | None = None
        self._replaceable: frozenset[str] = frozenset()
        self._kept_back: list[Event] = []

    def __enter__(self) -> Session:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up the executor's processes."""
        if self._executor:
            self._executor.close(now=error is not None)

    def execute(self, plan: Plan, wanted: frozenset[str] | None = None) -> None:
        """Bring a plan, or its nodes in `wanted`, up to date. What failed before in this run is not tried again."""
        lost = self._lost(plan)
        if lost:
            wanted = frozenset(node.id for node in plan.nodes if wanted is None or node.id in wanted) - lost.keys()
        limits = self.limits._replace(wanted=wanted)
        ends = execute_plan(plan, self.oracle, self._tell, limits, stop=self.stop, make=self._lend)
        for node, end in (ends | lost).items():
            if not (end.outcome is Outcome.CACHED and node in self.results and self.results[node].record):
                self.results[node] = end

    def _lost(self, plan: Plan) -> dict[str, NodeResult]:
        """Return the nodes that cannot run any more: they failed in this run, or need one that did."""
        lost: dict[str, NodeResult] = {}
        if not any(end.outcome is Outcome.FAILED for end in self.results.values()):
            return lost
        for node in plan.nodes:
            before = self.results.get(node.id)
            source = next((ref.node for ref in node.inputs.values() if ref.node in lost), None)
            if before and before.outcome is Outcome.FAILED:
                lost[node.id] = before
            elif source:
                reason = f"{lost[source].node.label} gave no result"
                lost[node.id] = NodeResult(node, Outcome.SKIPPED, reason, None)
        return lost

    @contextlib.contextmanager
    def replaceable(self, nodes: Collection[str]) -> Iterator[Callable[[], None]]:
        """Keep back that these nodes failed or are skipped; calling what is given drops that, as if it had not been.

        They belong to a plan that another one may replace.
        """
        self._replaceable = frozenset(nodes)

        def drop() -> None:
            self._kept_back.clear()
            for node in nodes:
                if node in self.results and not self.results[node].record:
                    del self.results[node]

        yield drop
        for event in self._kept_back:
            self._emit(event)
        self._kept_back.clear()
        self._replaceable = frozenset()

    def _tell(self, event: Event) -> None:
        if event.outcome in (Outcome.FAILED, Outcome.SKIPPED) and event.node in self._replaceable:
            self._kept_back.append(event)
        elif event.outcome is not Outcome.CACHED or event.node not in self.results:
            self._emit(event)

    def _lend(self, oracle: Oracle, limits: Limits) -> Executor:
        if self._executor is None:
            self._executor = make_executor(oracle, limits)
        return _Lent(self._executor)


class _Lent:
    """An executor that outlives the plan it is lent to; the session closes it."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @property
    def slots(self) -> int:
        return self._executor.slots

    @property
    def is_one_machine(self) -> bool:
        return self._executor.is_one_machine

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        return self._executor.submit(task, say)

    def close(self, *, now: bool) -> None:
        pass
