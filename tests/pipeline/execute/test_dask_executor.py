"""The Dask executor, with a real scheduler and real worker processes on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import EnvironmentProblem, StageFailed
from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Plan
from pipeline.execute import dask_executor, dask_node
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.store.local import LocalStore
from pipeline.store.remote import Remote
from pipeline.store.shared import SharedStore, cache_folder
from tests.pipeline.execute.clusters import ROOT, STAGES, environment, node, plan, scheduler, worker

Client = pytest.importorskip("distributed").Client

Results = dict[str, NodeResult]

# Whether a worker can be made to see another machine: one with fewer processors than this one.
_CAN_DIFFER = shutil.which("taskset") is not None and len(os.sched_getaffinity(0)) > 1


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two machines with two cores each; the second one may use one processor only, so it is another."""
    folder = tmp_path_factory.mktemp("cluster")
    other = ("taskset", "-c", str(min(os.sched_getaffinity(0)))) if _CAN_DIFFER else ()
    with (
        scheduler(folder) as address,
        worker(folder, address, "127.0.0.1", "core=2"),
        worker(folder, address, "127.0.0.2", "core=2", before=other),
    ):
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=300)
        yield address


def run(
    folder: Path, what: Plan, limits: Limits | None = None, events: list[Event] | None = None, store: str = "store"
) -> Results:
    environment(folder)
    sys.path.insert(0, str(folder))
    try:
        emit = (lambda event: None) if events is None else events.append
        return execute_plan(what, Oracle(LocalStore(folder / store), STAGES), emit, limits or Limits())
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("dask_stage_of_this_test", None)


def digests(results: Results) -> dict[str, str]:
    return {name: end.record.outputs["out"].digest for name, end in results.items() if end.record}


def log(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "log").read_text().splitlines()]


def diamond(folder: Path, **spec: object) -> Plan:
    a = node("a", folder)
    middle = [node(name, folder, "a") for name in "bcdefg"]
    return plan(a, *middle, node("last", folder, *"bcdefg", **spec))


def test_the_same_plan_gives_the_same_digests_as_in_this_process(address: str, tmp_path: Path) -> None:
    """On several machines, and with what the stages say on the way."""
    events: list[Event] = []
    there = run(tmp_path, diamond(tmp_path), Limits("dask", scheduler=address), events)
    here = run(tmp_path, diamond(tmp_path), store="other")
    assert digests(there) == digests(here)
    assert len(digests(there)) == 8
    assert {event.said for event in events if event.node == "a"} == {"", "a works"}
    assert {end.outcome for end in run(tmp_path, diamond(tmp_path)).values()} == {Outcome.CACHED}


def test_an_error_comes_back_as_itself_with_its_traceback(address: str, tmp_path: Path) -> None:
    """The others go on; nothing of the failed node is kept."""
    failing = plan(node("a", tmp_path, raises=True), node("b", tmp_path))
    results = run(tmp_path, failing, Limits("dask", scheduler=address))
    assert isinstance(results["a"].error, ValueError)
    assert "in execute" in str(results["a"].error.__cause__)
    assert results["b"].outcome is Outcome.RAN


def test_a_node_that_takes_too_long_is_stopped(address: str, tmp_path: Path) -> None:
    """The limits hold on the workers."""
    slow = plan(node("a", tmp_path, sleep_s=60))
    results = run(tmp_path, slow, Limits("dask", scheduler=address, timeout_s=2.0))
    assert "--timeout" in str(results["a"].error)


def test_a_node_that_kills_its_process_three_times_is_reported(address: str, tmp_path: Path) -> None:
    """The Dask worker and the other nodes go on."""
    deadly = plan(node("a", tmp_path, kills="itself"), node("b", tmp_path))
    results = run(tmp_path, deadly, Limits("dask", scheduler=address))
    assert "killed its worker three times" in str(results["a"].error)
    assert results["b"].outcome is Outcome.RAN
    assert Counter(name for name, *_ in log(tmp_path)) == {"a": 3, "b": 2}


def test_a_measurement_has_its_machine_to_itself_and_is_made_on_one_like_this(address: str, tmp_path: Path) -> None:
    """Other nodes run on the other machine meanwhile, and none on this one."""
    busy = [node(f"n{number}", tmp_path, sleep_s=0.3) for number in range(12)]
    measuring = [node(f"m{number}", tmp_path, stage="benchmark", sleep_s=0.3) for number in range(2)]
    results = run(tmp_path, plan(*measuring, *busy), Limits("dask", scheduler=address))
    assert {end.outcome for end in results.values()} == {Outcome.RAN}
    running: set[str] = set()
    for name, what, host in log(tmp_path):
        if host == "127.0.0.1":
            (running.add if what == "start" else running.discard)(name)
            assert len(running) == 1 or not any(one.startswith("m") for one in running)
        else:
            assert not name.startswith("m") or not _CAN_DIFFER


def test_a_measurement_on_workers_of_one_machine_runs_alone(tmp_path: Path) -> None:
    """Where several workers share this machine, no resource of one keeps the others quiet: the scheduler does."""
    busy = [node(f"n{number}", tmp_path, sleep_s=0.1) for number in range(6)]
    measuring = node("m", tmp_path, stage="benchmark", sleep_s=0.1)
    with scheduler(tmp_path) as address, worker(tmp_path, address), worker(tmp_path, address):
        results = run(tmp_path, plan(measuring, *busy), Limits("dask", scheduler=address))
    assert {end.outcome for end in results.values()} == {Outcome.RAN}
    assert [name for name, *_ in log(tmp_path)][-2:] == ["m", "m"]


@pytest.mark.slow
def test_no_machine_like_this_one_is_said(tmp_path: Path) -> None:
    """A timing belongs to a kind of machine; on another one it would not be the result that was asked for."""
    if not _CAN_DIFFER:
        pytest.skip("another machine is one with fewer processors here")
    other = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
    with scheduler(tmp_path) as address, worker(tmp_path, address, before=other):
        results = run(tmp_path, plan(node("m", tmp_path, stage="benchmark")), Limits("dask", scheduler=address))
    assert isinstance(results["m"].error, EnvironmentProblem)
    assert "no Dask worker is on a machine like this one" in str(results["m"].error)


def test_workers_without_the_resource_are_refused(tmp_path: Path) -> None:
    """Nothing could keep a measurement's machine quiet; the message has the command."""
    with (
        scheduler(tmp_path) as address,
        worker(tmp_path, address, resources=""),
        pytest.raises(EnvironmentProblem, match="offers the resource core") as caught,
    ):
        run(tmp_path, plan(node("a", tmp_path)), Limits("dask", scheduler=address))
    assert "--resources core=" in caught.value.hint


def test_workers_without_this_package_are_said(tmp_path: Path) -> None:
    """They fail the node, and are not broken by it."""
    what = plan(node("a", tmp_path), node("b", tmp_path))
    hidden = f"import sys\nsys.path = [path for path in sys.path if path != {str(ROOT)!r}]"  # it may be installed here
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(hidden)
    with scheduler(tmp_path) as address, worker(tmp_path, address, PYTHONPATH=str(tmp_path / "hide")):
        results = run(tmp_path, what, Limits("dask", scheduler=address))
    for end in results.values():
        assert isinstance(end.error, EnvironmentProblem)
        assert "No module named 'pipeline" in str(end.error)


def test_dask_that_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EnvironmentProblem, match="not installed") as caught:
        run(tmp_path, plan(node("a", tmp_path)), Limits("dask"))
    assert caught.value.hint == 'pip install "tinytorch-pipeline[dask]"'


def test_no_scheduler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on port 1."""
    monkeypatch.setattr(dask_executor, "_ANSWER_S", 1)
    with pytest.raises(EnvironmentProblem, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        run(tmp_path, plan(node("a", tmp_path)), Limits("dask", scheduler="tcp://127.0.0.1:1"))


def test_a_cluster_without_workers_is_said_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lost worker was computing goes on where somebody starts another one."""
    monkeypatch.setattr(dask_executor, "_WATCH_S", 0.2)
    monkeypatch.setattr(dask_executor, "_FRESH_S", 0.1)
    with scheduler(tmp_path) as address, worker(tmp_path, address), contextlib.ExitStack() as later:

        class Helper(list[Event]):
            def append(self, event: Event) -> None:
                super().append(event)
                if "no worker is left" in event.said and sum("no worker" in one.said for one in self) == 1:
                    later.enter_context(worker(tmp_path, address))

        results = run(
            tmp_path, plan(node("a", tmp_path, kills="worker once")), Limits("dask", scheduler=address), Helper()
        )
    assert results["a"].outcome is Outcome.RAN


@pytest.mark.slow
def test_a_scheduler_that_is_lost_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished is kept, and nobody waits for ever."""
    monkeypatch.setattr(dask_executor, "_ANSWER_S", 2)
    chain = plan(node("a", tmp_path), node("b", tmp_path, "a", sleep_s=60))
    with contextlib.ExitStack() as cluster:
        address = cluster.enter_context(scheduler(tmp_path))
        with worker(tmp_path, address):

            class Closer(list[Event]):
                def append(self, event: Event) -> None:
                    if event.said == "b works":
                        cluster.close()

            results = run(tmp_path, chain, Limits("dask", scheduler=address), Closer())
    assert results["a"].outcome is Outcome.RAN
    assert isinstance(results["b"].error, EnvironmentProblem)


def test_a_cluster_of_its_own_is_started_and_ended(tmp_path: Path) -> None:
    """Its worker is started again when a node kills it; one that does so three times is reported."""
    environment(tmp_path)
    results = run(tmp_path, plan(node("a", tmp_path), node("b", tmp_path, "a", kills="worker")), Limits("dask", 2))
    assert results["a"].outcome is Outcome.RAN
    assert isinstance(results["b"].error, StageFailed)
    assert "it killed its worker three times" in str(results["b"].error)
    _wait_until_none_is_left(tmp_path)


PARENT = """
import sys
sys.path[:0] = [{root!r}, {folder!r}]
from pathlib import Path
from tests.pipeline.execute.test_dask_executor import *
run(Path({folder!r}), plan(node("a", Path({folder!r}), sleep_s=600)), Limits("dask", 1))
"""


def test_a_cluster_of_its_own_ends_with_its_parent(tmp_path: Path) -> None:
    """Also when that is killed in the middle of a node."""
    code = PARENT.format(root=str(ROOT), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        while not (tmp_path / "log").exists():
            assert parent.poll() is None
            time.sleep(0.05)
        assert _processes(str(tmp_path)) != []
        parent.kill()
    _wait_until_none_is_left(tmp_path)


def _wait_until_none_is_left(folder: Path) -> None:
    """Wait for processes that end by themselves, when they see that what started them is gone; fail if one stays."""
    deadline = time.monotonic() + 120
    while left := _processes(str(folder)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _processes(folder: str) -> list[str]:
    """Return the command lines of other processes that have a folder on their path."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


def test_a_worker_elsewhere_reaches_the_store_by_its_url_or_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that does not see the folder has a cache of its own; without a URL it computes nothing."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    url = f"file://{tmp_path}/far"
    site = dask_node.site_of("run", LocalStore(tmp_path / "store"), STAGES, None, None)
    assert type(dask_node._store(site)) is LocalStore
    elsewhere = replace(site, mark=site.mark + 1)
    with pytest.raises(EnvironmentProblem, match="does not see the store"):
        dask_node._store(elsewhere)
    store = dask_node._store(replace(elsewhere, url=url))
    assert isinstance(store, SharedStore)
    assert store.root == cache_folder(url, tmp_path / "home/.cache/tinytorch-pipeline")


def test_a_worker_elsewhere_works_through_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it computes in its own cache is found there by the next node, here, and by the next run."""
    monkeypatch.setattr(dask_node, "_mark", lambda root: 1)  # here only: the worker sees another folder
    store = SharedStore(tmp_path / "store", Remote(f"file://{tmp_path}/far"))
    environment(tmp_path)
    chain = plan(node("a", tmp_path), node("b", tmp_path, "a"))
    with scheduler(tmp_path) as address, worker(tmp_path, address, HOME=str(tmp_path / "home")):
        limits = Limits("dask", scheduler=address)
        results = execute_plan(chain, Oracle(store, STAGES), lambda event: None, limits)
    assert store.read(digests(results)["b"]) == b"b|a"
    assert list((tmp_path / "home/.cache/tinytorch-pipeline/remote").glob("*/objects/*/*")) != []
    again = execute_plan(chain, Oracle(store, STAGES), lambda event: None, Limits())
    assert {end.outcome for end in again.values()} == {Outcome.CACHED}


def sweep(folder: Path, points: int) -> Plan:
    names = [f"n{number}" for number in range(points)]
    return plan(node("data", folder), *(node(name, folder, "data") for name in names), node("last", folder, *names))


@pytest.mark.slow
def test_a_thousand_points_survive_the_loss_of_a_worker(tmp_path: Path) -> None:
    """Four workers, one killed midway; every digest is that of a run in one process, and few nodes ran twice."""
    with (
        scheduler(tmp_path) as address,
        worker(tmp_path, address),
        worker(tmp_path, address),
        worker(tmp_path, address),
        worker(tmp_path, address) as victim,
    ):
        there = run(tmp_path, sweep(tmp_path, 1000), Limits("dask", scheduler=address), _Killer(victim, after=500))
        assert victim.poll() is not None
    starts = Counter(name for name, what, *_ in log(tmp_path) if what == "start")
    here = run(tmp_path, sweep(tmp_path, 1000), store="other")
    assert len(digests(there)) == 1002
    assert digests(there) == digests(here)
    assert sum(starts.values()) - len(starts) <= 2


class _Killer(list[Event]):
    """Receives events, and kills a process when some number of nodes have run."""

    def __init__(self, victim: subprocess.Popen[bytes], after: int) -> None:
        self.victim = victim
        self.after = after

    def append(self, event: Event) -> None:
        self.after -= event.outcome is Outcome.RAN
        if self.after == 0:
            self.victim.kill()
