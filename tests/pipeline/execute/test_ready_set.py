"""In which order nodes start, what starts together, and what a failure or a wish to stop does to the rest."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError, WorkerLost
from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Node, Plan, Ref
from pipeline.core.stage import StageInfo
from pipeline.execute.decide import Oracle
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import UNLIMITED, Limits
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.execute.task import Task
from pipeline.store.local import LocalStore
from pipeline.store.record import Record

STAGES = {name: StageInfo(name, "", 1, {"out": "text"}, "", measures=name == "measure") for name in ("do", "measure")}


class Threads:
    """An executor on threads that notes, at each start, which nodes run; `fails` lists the errors a node will raise.

    No node ends before so many have started as `ends_after`, however long it takes to start them.
    """

    def __init__(self, store: LocalStore, slots: int = 2, is_one_machine: bool = True) -> None:
        self.store = store
        self.slots = slots
        self.is_one_machine = is_one_machine
        self.started: list[str] = []
        self.running: list[set[str]] = []
        self.fails: dict[str, list[Exception]] = {}
        self.closed: list[bool] = []
        self.ends_after = 1
        self._have_started = threading.Event()
        self._now: set[str] = set()
        self._pool = ThreadPoolExecutor(slots)

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        self.started.append(task.node.id)
        self._now.add(task.node.id)
        self.running.append(set(self._now))
        if len(self.started) >= self.ends_after:
            self._have_started.set()
        return self._pool.submit(self._compute, task)

    def close(self, *, now: bool) -> None:
        self.closed.append(now)
        self._pool.shutdown()

    def _compute(self, task: Task) -> tuple[Record, Outcome]:
        assert self._have_started.wait(60)
        self._now.discard(task.node.id)
        if self.fails.get(task.node.id):
            raise self.fails[task.node.id].pop(0)
        out = self.store.put(task.node.id.encode(), "text")
        record = Record(task.key, task.node.label, task.preimage, {"out": out}, time.time(), 0.0)
        self.store.commit(record)
        return record, Outcome.RAN


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def node(name: str, after: str = "", stage: str = "do") -> Node:
    return Node(name, stage, name, {"name": name}, {f: Ref(f, "out") for f in after}, ("pipeline.stages.data",))


def plan(*nodes: Node) -> Plan:
    return Plan(nodes, (), "", "")


def run(executor: Threads, *nodes: Node, limits: Limits = UNLIMITED, **named: Any) -> dict[str, NodeResult]:
    emit = named.pop("emit", lambda event: None)
    return execute_plan(plan(*nodes), Oracle(executor.store, STAGES), emit, limits, make=lambda *_: executor, **named)


def test_what_is_ready_starts_in_the_order_of_the_plan(store: LocalStore) -> None:
    """With one slot, a node that becomes ready goes before those that come after it in the plan."""
    executor = Threads(store, slots=1)
    run(executor, node("a"), node("b", "a"), node("c"), node("d", "b"), node("e"))
    assert executor.started == list("abcde")


def test_slots_are_filled_and_not_exceeded(store: LocalStore) -> None:
    """Three slots hold three of five nodes."""
    executor = Threads(store, slots=3)
    executor.ends_after = 3
    run(executor, *map(node, "abcde"))
    assert max(map(len, executor.running)) == 3


def test_measuring_nodes_come_last_and_run_alone(store: LocalStore) -> None:
    """First all that is ready, side by side; then one measurement after the other; then what waited for it."""
    executor = Threads(store)
    nodes = [node("m", "", "measure"), node("n", "a", "measure"), *map(node, "abc"), node("d", "m")]
    run(executor, *nodes)
    assert sorted(executor.started[:3]) == list("abc")
    assert executor.started[3:] == list("mdn")
    assert executor.running[3:] == [{"m"}, {"d"}, {"n"}]


def test_on_several_machines_the_executor_keeps_measurements_apart(store: LocalStore) -> None:
    """There the scheduler hands them out beside other nodes, after those that are ready."""
    executor = Threads(store, slots=4, is_one_machine=False)
    run(executor, node("m", "", "measure"), node("a"), node("b"))
    assert executor.started == list("abm")
    assert executor.running[-1] >= {"m"}


def test_a_failed_node_is_tried_again_as_often_as_asked(store: LocalStore) -> None:
    """The event of the new start has the number of the attempt and the reason."""
    executor = Threads(store)
    executor.fails["a"] = [ValueError("first"), ValueError("second")]
    events: list[Event] = []
    results = run(executor, node("a"), limits=Limits(retries=2), emit=events.append)
    assert results["a"].outcome is Outcome.RAN
    assert [(event.attempt, event.reason) for event in events if event.outcome is None] == [
        (1, "new"),
        (2, "again, after ValueError: first"),
        (3, "again, after ValueError: second"),
    ]
    assert events[-1].attempt == 3


def test_retries_end(store: LocalStore) -> None:
    """The last error is the node's."""
    executor = Threads(store)
    executor.fails["a"] = [ValueError("first"), ValueError("second"), ValueError("third")]
    results = run(executor, node("a"), limits=Limits(retries=1))
    assert str(results["a"].error) == "second"


def test_wrong_input_is_not_tried_again(store: LocalStore) -> None:
    """A second attempt would find the same."""
    executor = Threads(store)
    executor.fails["a"] = [UserError("misspelt")] * 2
    run(executor, node("a"), limits=Limits(retries=5))
    assert executor.started == ["a"]


def test_a_lost_process_costs_no_retry(store: LocalStore) -> None:
    """The machine may be to blame: a node is given three processes even where nothing is tried again."""
    executor = Threads(store)
    executor.fails["a"] = [WorkerLost("gone"), WorkerLost("gone")]
    assert run(executor, node("a"))["a"].outcome is Outcome.RAN


def test_one_failed_branch_does_not_stop_the_others(store: LocalStore) -> None:
    """What depends on it is skipped, the rest runs."""
    executor = Threads(store, slots=1)
    executor.fails["a"] = [ValueError("it failed")]
    results = run(executor, node("a"), node("b", "a"), node("c"), node("d", "bc"))
    assert Counter(result.outcome for result in results.values()) == {
        Outcome.FAILED: 1,
        Outcome.SKIPPED: 2,
        Outcome.RAN: 1,
    }
    assert executor.closed == [False]


def test_fail_fast_starts_nothing_after_a_failure(store: LocalStore) -> None:
    """The others are skipped, with the reason."""
    executor = Threads(store, slots=1)
    executor.fails["a"] = [ValueError("it failed")]
    results = run(executor, node("a"), node("b"), limits=Limits(fail_fast=True))
    assert executor.started == ["a"]
    assert (results["b"].outcome, results["b"].reason) == (Outcome.SKIPPED, "something else failed before")


def test_a_wish_to_stop_lets_what_runs_finish(store: LocalStore) -> None:
    """What is in flight is kept; nothing new starts."""
    executor, stop = Threads(store), Stop()

    def emit(event: Event) -> None:
        if event.outcome is Outcome.RAN:
            stop.requested = True

    results = run(executor, *map(node, "abcdef"), stop=stop, emit=emit)
    assert [results[name].outcome for name in "ab"] == [Outcome.RAN] * 2
    assert [results[name].reason for name in "cdef"] == ["the run was stopped"] * 4
    assert len(executor.started) == 2


def test_only_wanted_nodes_are_looked_at(store: LocalStore) -> None:
    """The others are not in the results at all."""
    executor = Threads(store)
    results = run(executor, node("a"), node("b", "a"), node("c", "a"), limits=Limits(wanted=frozenset("ac")))
    assert list(results) == ["a", "c"]
    assert executor.started == ["a", "c"]


def test_a_forced_stage_is_computed_again(store: LocalStore) -> None:
    """What depends on it is cached when the bytes are the same."""
    nodes = node("a"), node("m", "a", "measure")
    run(Threads(store), *nodes)
    executor = Threads(store)
    results = run(executor, *nodes, limits=Limits(force=frozenset({"do"})))
    assert executor.started == ["a"]
    assert results["m"].outcome is Outcome.CACHED


def test_no_executor_is_made_where_nothing_runs(store: LocalStore) -> None:
    """It would import numpy or start processes."""
    run(Threads(store), node("a"))
    made: list[object] = []
    execute_plan(plan(node("a")), Oracle(store, STAGES), lambda event: None, make=lambda *_: made.append(1))
    assert made == []


def test_an_interrupt_closes_the_executor_at_once(store: LocalStore) -> None:
    """Whatever passes through does not leave processes behind."""
    executor = Threads(store)

    def emit(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(executor, node("a"), emit=emit)
    assert executor.closed == [True]
