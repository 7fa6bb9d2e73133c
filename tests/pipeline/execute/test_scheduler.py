"""Scheduling and caching on a three-node plan: what runs, what is taken, and what happens beside a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Node, Plan, Ref
from pipeline.core.stage import StageInfo
from pipeline.execute.decide import Oracle, forecast
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.execute.task import Task
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Record

STAGES = {
    name: StageInfo(name, f"pipeline.stages.{name}", 1, {"out": "text"}, "", measures=name == "benchmark")
    for name in ("data", "train", "benchmark")
}


class Recorder:
    """An executor whose stages concatenate: node `n` gives its spec's text after its inputs; `fail` raises."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.ran: list[str] = []

    slots = 1
    is_one_machine = True

    def submit(self, task: Task, say: Callable[[str], None]) -> Future[tuple[Record, Outcome]]:
        future: Future[tuple[Record, Outcome]] = Future()
        try:
            future.set_result(self.compute(task, say))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, *, now: bool) -> None:
        pass

    def compute(self, task: Task, say: Callable[[str], None]) -> tuple[Record, Outcome]:
        node = task.node
        self.ran.append(node.stage)
        if node.spec["text"] == "fail":
            raise ValueError("it failed")
        data = b"".join(self.store.read(artifact.digest) for artifact in task.inputs.values())
        out = self.store.put(data[: node.spec.get("keep", 99)] + node.spec["text"].encode(), "text")
        record = Record(task.key, node.label, task.preimage, {"out": out}, time.time(), 0.0)
        self.store.commit(record)
        return record, Outcome.RAN


def chain(data: str = "a", train: str = "b", benchmark: str = "c", **extra: Any) -> Plan:
    first = Node("1", "data", "", {"text": data}, {}, ("pipeline.stages.data",))
    second = Node("2", "train", "", {"text": train, **extra}, {"x": Ref("1", "out")}, ("pipeline.stages.train",))
    third = Node("3", "benchmark", "", {"text": benchmark}, {"x": Ref("2", "out")}, ("pipeline.stages.evaluate",))
    return Plan((first, second, third), (), "3", "3")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def run(store: LocalStore, plan: Plan, fresh: bool = False) -> tuple[list[str], dict[str, NodeResult]]:
    recorder = Recorder(store)
    results = execute_plan(plan, Oracle(store, STAGES, fresh=fresh), lambda event: None, make=lambda *_: recorder)
    return recorder.ran, results


def test_everything_runs_once_and_then_nothing(store: LocalStore) -> None:
    """A second run of the same plan executes no stage."""
    assert run(store, chain())[0] == ["data", "train", "benchmark"]
    assert run(store, chain())[0] == []


def test_a_changed_parameter_reruns_what_depends_on_it(store: LocalStore) -> None:
    """Upstream of the change is taken from the store."""
    run(store, chain())
    assert run(store, chain(train="x"))[0] == ["train", "benchmark"]


def test_flipping_back_runs_nothing(store: LocalStore) -> None:
    """Older results stay under their keys."""
    run(store, chain())
    run(store, chain(train="x"))
    assert run(store, chain())[0] == []


def test_equal_bytes_stop_the_rerun(store: LocalStore) -> None:
    """A step that gives the same bytes as before leaves everything after it cached (early cutoff)."""
    run(store, chain(keep=1))
    assert run(store, chain(keep=2))[0] == ["train"]


def test_a_deleted_intermediate_is_restored(store: LocalStore) -> None:
    """Its node runs again; what follows is still cached."""
    _, results = run(store, chain())
    record = results["2"].record
    assert record is not None
    path = store.object_path(record.outputs["out"].digest)
    path.unlink()
    assert run(store, chain())[0] == ["train"]
    assert path.exists()


def test_a_damaged_intermediate_is_found_and_computed_again(store: LocalStore) -> None:
    """Content of the right size but the wrong digest is noticed when a node reads it, and its producer runs again."""
    _, results = run(store, chain())
    record = results["2"].record
    assert record is not None
    path = store.object_path(record.outputs["out"].digest)
    path.chmod(0o644)
    path.write_bytes(b"??")
    ran, results = run(store, chain(benchmark="d"))
    assert ran == ["benchmark", "train", "benchmark"]
    assert all(result.record for result in results.values())


def test_a_failure_skips_what_depends_on_it_and_nothing_is_cached(store: LocalStore) -> None:
    """The failed node runs again next time; what came before stays."""
    ran, results = run(store, chain(train="fail"))
    assert ran == ["data", "train"]
    assert [result.outcome for result in results.values()] == [Outcome.RAN, Outcome.FAILED, Outcome.SKIPPED]
    assert str(results["2"].error) == "it failed"
    assert run(store, chain(train="fail"))[0] == ["train"]


def test_fresh_measures_again_and_only_that(store: LocalStore) -> None:
    """`--fresh` concerns measuring stages."""
    run(store, chain())
    assert run(store, chain(), fresh=True)[0] == ["benchmark"]


def test_events_tell_start_and_end_in_order(store: LocalStore) -> None:
    """A node that runs announces itself with the reason, then says how it ended."""
    events: list[Event] = []
    execute_plan(chain(), Oracle(store, STAGES), events.append, make=lambda *_: Recorder(store))
    assert [(event.node, event.outcome) for event in events[:2]] == [("1", None), ("1", Outcome.RAN)]
    assert events[0].reason == "new"


def test_the_forecast_is_what_happens(store: LocalStore) -> None:
    """`plan` says cached, run with the reason, and may run for what waits on it."""
    run(store, chain())
    forecasts = forecast(chain(train="x"), Oracle(store, STAGES))
    assert [f.status for f in forecasts] == ["cached", "run", "may run"]
    assert forecasts[1].reason == "text b → x"


def test_the_reason_compares_with_the_nearest_earlier_result(store: LocalStore) -> None:
    """Of several results of a stage, the one with the fewest differences explains a miss."""
    run(store, chain(data="a", train="b"))
    run(store, chain(data="z", train="b"))
    (_, forecast_train, _) = forecast(chain(data="a", train="c"), Oracle(store, STAGES))
    assert forecast_train.reason == "text b → c"


def test_a_new_stage_version_reruns_the_stage(store: LocalStore) -> None:
    """The version is part of the key."""
    run(store, chain())
    stages = {**STAGES, "train": STAGES["train"]._replace(version=2)}
    recorder = Recorder(store)
    execute_plan(chain(), Oracle(store, stages), lambda event: None, make=lambda *_: recorder)
    assert recorder.ran == ["train"]


def damage(store: LocalStore, result: NodeResult) -> Path:
    assert result.record is not None
    path = store.object_path(result.record.outputs["out"].digest)
    path.chmod(0o644)
    path.write_bytes(b"?" * path.stat().st_size)
    return path


def test_damage_behind_damage_is_repaired_in_one_run(store: LocalStore) -> None:
    """An input that is made again may find its own input damaged, too."""
    _, results = run(store, chain())
    for node in "12":
        damage(store, results[node])
    ran, results = run(store, chain(benchmark="d"))
    assert ran == ["benchmark", "train", "data", "train", "benchmark"]
    assert all(result.record for result in results.values())


def test_all_inputs_of_a_node_may_be_damaged(store: LocalStore) -> None:
    """Each is made again once."""
    first = Node("1", "data", "", {"text": "a"}, {}, ("pipeline.stages.data",))
    second = Node("2", "train", "", {"text": "b"}, {}, ("pipeline.stages.train",))
    inputs = {"x": Ref("1", "out"), "y": Ref("2", "out")}

    def plan(text: str) -> Plan:
        last = Node("3", "benchmark", "", {"text": text}, inputs, ("pipeline.stages.evaluate",))
        return Plan((first, second, last), (), "3", "3")

    _, results = run(store, plan("c"))
    for node in "12":
        damage(store, results[node])
    _, results = run(store, plan("d"))
    assert [result.outcome for result in results.values()] == [Outcome.RAN] * 3


def test_what_cannot_be_repaired_fails_instead_of_going_round(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that gives back other bytes than it was given ends the branch."""
    run(store, chain())
    monkeypatch.setattr(store, "read", lambda digest: raise_corrupt(digest))
    ran, results = run(store, chain(train="x"))
    assert ran == ["train", "train"]
    assert isinstance(results["2"].error, CorruptObject)


def raise_corrupt(digest: str) -> bytes:
    raise CorruptObject(digest, "its content does not match its name")


def test_the_forecast_looks_at_all_results_not_at_the_nearest(store: LocalStore) -> None:
    """`run` is certain: if any result, however old, agrees in all but its inputs, it is `may run`."""
    run(store, chain(train="old", benchmark="c"))
    for number in range(60):
        run(store, chain(train="old", benchmark=f"other {number}"))
    waiting = forecast(chain(data="new", train="old", benchmark="c"), Oracle(store, STAGES))
    assert [f.status for f in waiting] == ["run", "may run", "may run"]


def test_a_result_that_another_process_made_counts_as_cached(store: LocalStore) -> None:
    """Of two simultaneous runs, one says that it ran the node."""

    class Waiter(Recorder):
        def compute(self, task: Task, say: Callable[[str], None]) -> tuple[Record, Outcome]:
            return super().compute(task, say)[0], Outcome.CACHED

    results = execute_plan(chain(), Oracle(store, STAGES), lambda event: None, make=lambda *_: Waiter(store))
    assert {result.outcome for result in results.values()} == {Outcome.CACHED}


def test_a_reason_is_given_where_only_the_presence_of_a_parameter_differs(store: LocalStore) -> None:
    """Absent and null are different keys, and `plan` says which parameter it is."""
    run(store, chain())
    (_, forecast_train, _) = forecast(chain(new=None), Oracle(store, STAGES))
    assert (forecast_train.status, forecast_train.reason) == ("run", "new came or went, with no value")


def test_an_edit_of_a_data_file_is_named(store: LocalStore) -> None:
    """Not as two long lists that begin alike."""
    node = Node("1", "data", "", {"text": "", "files": {"cat/1.png": "aa", "dog/1.png": "bb"}}, {}, ("tinytorch.data",))
    run(store, Plan((node,), (), "1", "1"))
    edited = node._replace(spec={"text": "", "files": {"cat/1.png": "cc", "ape/1.png": "bb"}})
    (only,) = forecast(Plan((edited,), (), "1", "1"), Oracle(store, STAGES))
    assert only.reason == ("data file ape/1.png was added; data file cat/1.png changed; data file dog/1.png is gone")
    alone = node._replace(spec={"text": "", "files": {".": "dd"}})
    (only,) = forecast(Plan((alone,), (), "1", "1"), Oracle(store, STAGES))
    assert only.reason.startswith("the data file was added; data file cat/1.png is gone")


def test_what_a_stage_says_comes_between_its_start_and_its_end(store: LocalStore) -> None:
    """The person who waits is told at once, and by which node."""

    class Speaker(Recorder):
        def compute(self, task: Task, say: Callable[[str], None]) -> tuple[Record, Outcome]:
            say(f"{task.node.stage} works")
            return super().compute(task, say)

    events: list[Event] = []
    execute_plan(chain(), Oracle(store, STAGES), events.append, make=lambda *_: Speaker(store))
    assert [(event.label, event.said, event.outcome) for event in events[3:6]] == [
        ("train", "", None),
        ("train", "train works", None),
        ("train", "", Outcome.RAN),
    ]
