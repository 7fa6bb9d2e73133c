"""Worker processes: the same results as inline, whatever happens to a process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.errors import OverMemory, StageFailed, TimedOut, WorkerLost
from pipeline.core.event import Event, Outcome
from pipeline.core.plan import Node
from pipeline.execute.limits import Limits
from pipeline.execute.modules import CodeDigests
from pipeline.execute.scheduler import execute_plan
from pipeline.run import prepare
from pipeline.store.local import LocalStore
from tests.pipeline.execute.stage_project import StageProject, make_stage_project
from tests.processes import wait_until_gone

TWO = Limits("processes", workers=2)
ONE = Limits("processes", workers=1)
KILL_ONCE = """
mark = here / f"killed {spec['name']}"
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageProject:
    return make_stage_project(tmp_path, monkeypatch)


def diamond(project: StageProject) -> tuple[Node, ...]:
    node = project.node
    return (
        node("a"),
        node("b", after="a"),
        node("c", after="a"),
        node("d", after="bc"),
        node("m", after="d", stage="measure"),
    )


def test_processes_give_the_digests_of_inline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a node runs is no part of its result."""
    found = []
    for limits in (Limits(), TWO):
        folder = tmp_path / limits.executor
        folder.mkdir()
        project = make_stage_project(folder, monkeypatch)
        results = project.run(*diamond(project), limits=limits)
        assert all(result.outcome is Outcome.RAN for result in results.values())
        assert list(results) == list("abcdm")
        found.append(project.digests(results))
    assert found[0] == found[1]


EXPERIMENT = """
name: digests
data: {name: digits}
model: {arch: mlp, args: {hidden: [16], dropout: 0.2}, train: {epochs: 1}}
optimize:
  - prune: {method: structured, sparsity: "${sparsity}"}
  - finetune: {epochs: 1}
  - quantize: {bits: 8, activations: static}
vars: {sparsity: 0.25}
sweep: {grid: {sparsity: [0.25, 0.5, 0.75]}}
"""


def test_a_real_sweep_gives_the_digests_of_inline(tmp_path: Path) -> None:
    """Three points that share a network, trained, pruned, fine-tuned, quantized and evaluated."""
    found = []
    for limits in (Limits(), TWO):
        plan, oracle = prepare(build(loads(EXPERIMENT, "digests.yaml")), LocalStore(tmp_path / limits.executor))
        wanted = frozenset(n.id for n in plan.nodes if n.stage in ("data", "train", "optimize", "evaluate"))
        results = execute_plan(plan, oracle, lambda event: None, limits._replace(wanted=wanted))
        assert {result.outcome for result in results.values()} == {Outcome.RAN}
        found.append({name: result.record and result.record.outputs for name, result in results.items()})
    assert found[0] == found[1]


def test_workers_are_reused(project: StageProject) -> None:
    """Six nodes, at most two processes."""
    do = "(here / f'pid {os.getpid()}').touch()"
    project.run(*(project.node(name, do) for name in "abcdef"), limits=TWO)
    assert len(list(project.folder.glob("pid *"))) <= 2


def test_nodes_run_side_by_side(project: StageProject) -> None:
    """Each of two nodes waits for the other to start."""
    do = "(here / spec['name']).touch()\nwhile not (here / {other!r}).exists(): time.sleep(0.01)"
    nodes = project.node("a", do.format(other="b")), project.node("b", do.format(other="a"))
    results = project.run(*nodes, limits=Limits("processes", workers=2, timeout_s=300))
    assert [result.outcome for result in results.values()] == [Outcome.RAN] * 2


def test_a_measurement_runs_alone(project: StageProject) -> None:
    """Nothing else has started and not ended while something is measured, and what is ready comes before."""
    nap = "time.sleep(0.05)"
    nodes = [project.node("m", nap, stage="measure"), project.node("n", nap, stage="measure")]
    nodes += [project.node(name, nap) for name in "abcd"] + [project.node("e", nap, after="m")]
    project.run(*nodes, limits=TWO)
    log = project.log()
    assert sorted(log[:8]) == sorted(f"{what} {name}" for what in ("start", "end") for name in "abcd")
    assert log[8:] == ["start m", "end m", "start e", "end e", "start n", "end n"]


def test_a_worker_that_dies_is_replaced(project: StageProject) -> None:
    """The node is tried again, and says so."""
    result = project.run(project.node("a", KILL_ONCE), limits=ONE)["a"]
    assert result.outcome is Outcome.RAN
    again = project.events[1]
    assert (again.outcome, again.attempt) == (None, 2)
    assert again.reason == "again, after WorkerLost: its process was killed by SIGKILL (out of memory?)"


def test_a_node_that_kills_every_worker_is_to_blame(project: StageProject) -> None:
    """Three processes are enough; other nodes go on."""
    results = project.run(project.node("a", "os._exit(3)"), project.node("b"), limits=ONE)
    error = results["a"].error
    assert isinstance(error, WorkerLost)
    assert str(error) == "it killed its worker three times; the last time, its process ended with exit code 3"
    assert project.log().count("start a") == 3
    assert results["b"].outcome is Outcome.RAN


def test_a_node_that_takes_too_long_is_stopped(project: StageProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is killed; the next node gets another."""

    def emit(event: Event) -> None:
        if event.outcome is Outcome.FAILED:  # no time passes from here on: the next node may be as slow as it likes
            now = time.monotonic()
            monkeypatch.setattr(time, "monotonic", lambda: now)

    limits = Limits("processes", workers=1, timeout_s=0.5)
    nodes = project.node("a", "time.sleep(600)"), project.node("b")
    results = project.run(*nodes, limits=limits, emit=emit)
    assert isinstance(results["a"].error, TimedOut)
    assert "0.5 s" in str(results["a"].error)
    assert results["b"].outcome is Outcome.RAN


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound allocations by RLIMIT_DATA")
def test_a_node_that_needs_too_much_memory_is_told_so(project: StageProject) -> None:
    """An error with the limit in it, not a machine without memory."""
    limits = Limits("processes", workers=1, memory_limit_bytes=2**29)
    results = project.run(project.node("a", "x = bytearray(2**30)"), project.node("b"), limits=limits)
    assert isinstance(results["a"].error, OverMemory)
    assert "512 MB" in str(results["a"].error)
    assert results["b"].outcome is Outcome.RAN


def test_a_stage_s_exception_crosses_as_itself_with_its_traceback(project: StageProject) -> None:
    """The record of a run shows where in the stage it was raised."""
    do = "int('x')"
    error = project.run(project.node("a", do), limits=ONE)["a"].error
    assert type(error) is ValueError
    assert "stages_of_these_tests.py" in "".join(traceback.format_exception(error))
    assert "stages_of_these_tests.py" in project.events[-1].error


def test_an_exception_that_cannot_travel_keeps_its_words(project: StageProject) -> None:
    """A class that only the stage knows becomes a failed stage."""
    do = "class Odd(Exception): pass\nraise Odd('strange')"
    error = project.run(project.node("a", do), limits=ONE)["a"].error
    assert isinstance(error, StageFailed)
    assert str(error) == "Odd: strange"


def test_a_stage_that_exits_fails_and_the_worker_goes_on(project: StageProject) -> None:
    """`sys.exit` in a stage is no end of the process."""
    results = project.run(project.node("a", "sys.exit(4)"), project.node("b"), limits=ONE)
    assert str(results["a"].error) == "the stage ended its process, with exit code 4"
    assert results["b"].outcome is Outcome.RAN


def test_what_a_stage_says_and_prints(project: StageProject, capfd: pytest.CaptureFixture[str]) -> None:
    """The one is an event; the other goes to stderr, past the channel between the processes."""
    result = project.run(project.node("a", "inputs.say('wait'); print('hello')"), limits=ONE)["a"]
    assert result.outcome is Outcome.RAN
    assert [event.said for event in project.events] == ["", "wait", ""]
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def test_a_damaged_input_is_made_again_in_another_process(project: StageProject) -> None:
    """The worker that reads it finds out, the scheduler has its node computed again, and both that wait go on."""
    results = project.run(project.node("a"), limits=ONE)
    record = results["a"].record
    assert record is not None
    path = project.store.object_path(record.outputs["out"].digest)
    path.chmod(0o644)
    path.write_bytes(b"?")
    read = "inputs['a']"
    results = project.run(project.node("a"), *(project.node(name, read, after="a") for name in "bc"), limits=TWO)
    assert [result.record is not None for result in results.values()] == [True] * 3
    assert project.log().count("end a") == 2


def test_code_that_was_edited_during_the_run_is_named(project: StageProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that starts later reads other code than the plan was made with."""
    monkeypatch.setattr(CodeDigests, "digest", lambda self, node: "0" * 64)
    error = project.run(project.node("a"), limits=ONE)["a"].error
    assert isinstance(error, StageFailed)
    assert "was edited during this run" in str(error)


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {folder!r}]
from pipeline.execute.limits import Limits
from tests.pipeline.execute.stage_project import StageProject
project = StageProject(Path({folder!r}))
do = "(here / 'pid').write_text(str(os.getpid())); (here / 'began').touch(); time.sleep(600)"
emit = lambda event: print(event.outcome, flush=True)
project.run(project.node("a", do), limits=Limits("processes", workers=1), emit=emit)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_do_not_outlive_their_parent(project: StageProject) -> None:
    """Also when it has no time to say goodbye."""
    code = PARENT.format(root=str(Path(__file__).parents[3]), folder=str(project.folder))
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    while not (project.folder / "began").exists():
        assert parent.poll() is None
        time.sleep(0.01)
    worker = int((project.folder / "pid").read_text())
    parent.kill()
    parent.communicate()
    wait_until_gone([worker])


def test_the_parent_needs_no_numpy(project: StageProject) -> None:
    """It only hands out tasks and reads records."""
    code = PARENT.format(root=str(Path(__file__).parents[3]), folder=str(project.folder))
    code = code.replace("time.sleep(600)", "") + "\nassert 'numpy' not in sys.modules, 'numpy is there'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_worker_writes_what_it_has_put_off_before_it_ends(project: StageProject) -> None:
    """Rows of the index for quick nodes wait for each other; records are found without them, but not by likeness."""
    results = project.run(*(project.node(name) for name in "abcdef"), limits=ONE)
    project.store.close()
    for result in results.values():
        assert result.record is not None
    with sqlite3.connect(project.store.root / "index.sqlite3") as database:
        assert database.execute("select count(*) from actions").fetchone() == (6,)
