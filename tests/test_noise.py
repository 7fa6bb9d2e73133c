"""Measuring on a bad day, end to end: busy cores, lost samples, a control that differs, a worker that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project

SMOKE = "experiments/smoke.yaml"
PATIENCE_S = 600.0  # with a run of few seconds, on cores that others keep busy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen, and processes found, on Linux only")

# A run that may use few cores, so that a test can keep all of them busy.
CONFINED = """
import os, sys
os.sched_setaffinity(0, {cores})
from pipeline.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def submission(project: Project) -> Any:
    return json.loads((project.folder / "runs/smoke/submission.json").read_text())


def start(project: Project, *arguments: str, cores: set[int] | None = None) -> subprocess.Popen[str]:
    scratch = project.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    variables = {**os.environ, "PYTHONPATH": str(project.folder), "TMPDIR": str(scratch), "NO_COLOR": "1"}
    command = ["-c", CONFINED.format(cores=cores)] if cores else ["-m", "pipeline"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *command, "run", SMOKE, *arguments],
        cwd=project.folder,
        env=variables,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


@contextlib.contextmanager
def hogs(cores: set[int]) -> Iterator[None]:
    """Keep these cores busy."""
    code = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(core)], stdout=subprocess.PIPE, text=True) for core in cores
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_on_a_busy_machine_a_run_waits_and_then_measures_anyway(project: Project) -> None:
    """It says so, it ends, and exit code 5 goes with a submission that is marked noisy."""
    cores = set(sorted(os.sched_getaffinity(0))[-2:])
    with hogs(cores):
        run = start(project, "--fresh", "--set", "benchmark.wait_s=1.0", cores=cores)
        _, errors = run.communicate(timeout=PATIENCE_S)
    by_whom = r"cores? [\d, ]+: \d+ % by others(, \d+ % by the host)?"
    assert re.search(rf"the machine is busy \({by_whom}\): waiting up to 1 s for a quiet moment", errors), errors
    assert errors.count("waiting up to") == 1
    found = submission(project)
    assert run.returncode == (5 if found["measurement"]["noisy"] else 0), errors
    warnings = "\n".join(found["warnings"])
    assert "other programs used more than 25% of the core, after waiting 1 s in all for a quiet moment" in warnings


def is_noisy(project: Project, *arguments: str) -> str:
    """Run; assert that the whole product says that nothing may be claimed; return the warnings."""
    done = project.run("run", SMOKE, *arguments, expect=5)
    assert "too noisy to claim anything about speed (exit code 5)" in done.stderr
    found = submission(project)
    assert found["measurement"]["noisy"] is True
    (comparison,) = found["benchmark"]["comparisons"]
    assert (comparison["noisy"], comparison["verdict"]) == (True, "noisy")
    assert found["comparisons"]["speed"]["verdict"] == "noisy"
    project.run("validate", "runs/smoke/submission.json")
    return "\n".join(found["warnings"])


def test_samples_that_were_all_interrupted_support_no_claim(project: Project) -> None:
    """A clock that gives the thread half of the time is what a core shared at every moment looks like."""
    project.edit(
        "pipeline/measure/clock.py",
        "cpu_ns: Callable[[], int] = time.thread_time_ns",
        "def cpu_ns() -> int:\n    return time.thread_time_ns() // 2\n",
    )
    assert "other programs interrupted nearly all pairs" in is_noisy(project)
    assert project.run("run", SMOKE, expect=5).stdout.startswith("11 nodes: 0 ran")  # nothing has become better


def test_a_control_that_differs_supports_no_claim(project: Project) -> None:
    """The second copy of the baseline is another model here, of a tenth of its work; the comparison finds out."""
    for before, after in (
        ("hidden: [16]", "hidden: [2048]"),
        ("prune: {sparsity: 0.25}", "prune: {sparsity: 0.9}"),
        ("quantize: {bits: 8}", "quantize: {bits: 32, allow_no_effect: true}"),
    ):
        project.edit(SMOKE, before, after)
    sampling = "pipeline/measure/sampling.py"
    for text in ('self.{} if arm == "{}" else self.{}', '"{}" if arm == "{}" else "{}"'):  # its file and its session
        before, after = (
            text.format("optimized", "optimized", "baseline"),
            text.format("baseline", "baseline", "optimized"),
        )
        project.edit(sampling, before, after)
    precise = ("--set", "benchmark.processes=4", "--set", "benchmark.budget_s=4")
    assert "identical code differed by" in is_noisy(project, *precise)


def workers(folder: Path) -> list[tuple[int, str]]:
    """Return process id and command line of the workers that a run with its files in this folder has started."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                command = Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if "pipeline.measure.worker" in command and str(folder) in command:
                    found.append((int(entry), command))
    return found


def kill_the_first_that_compares(folder: Path, killed: list[int], deadline: float) -> None:
    """Stop the first worker that times models, and kill it where it stands."""
    while not killed and time.monotonic() < deadline:
        for pid, command in workers(folder):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if not killed and "compare-" in command and "_umath" in Path(f"/proc/{pid}/maps").read_text():
                    os.kill(pid, signal.SIGSTOP)
                    while (state := state_of(pid)) not in "TZX":
                        time.sleep(0.001)
                    if state == "T":  # it cannot end by itself any more
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
        time.sleep(0.01)


def state_of(pid: int) -> str:
    """Return the letter for what a process does, as Linux has it: T has been stopped, Z and X have ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_worker_that_is_killed_ends_the_stage_and_nothing_else(project: Project) -> None:
    """The error names the signal, all else is kept, nobody is left behind, and the next run succeeds."""
    changed = ("--set", "benchmark.threshold=0.03", "--set", "benchmark.processes=4", "--set", "benchmark.budget_s=10")
    killed: list[int] = []
    arguments = (project.folder / "scratch", killed, time.monotonic() + PATIENCE_S)
    killer = threading.Thread(target=kill_the_first_that_compares, args=arguments)
    run = start(project, *changed)
    killer.start()
    output, errors = run.communicate(timeout=PATIENCE_S)
    killer.join()
    assert len(killed) == 1
    assert run.returncode == 1, output + errors
    assert "benchmark optimized: a worker process was killed by SIGKILL" in errors
    assert "everything finished is kept" in errors
    assert "Traceback" not in errors + output
    assert workers(project.folder) == []
    assert list((project.folder / "scratch").iterdir()) == []
    nodes = {node["node"]: node["status"] for node in project.json("plan", SMOKE, *changed)["nodes"]}
    waiting = {"benchmark optimized": "run", "submit": "may run", "report": "may run"}
    assert {name: status for name, status in nodes.items() if status != "cached"}.keys() == waiting.keys()
    project.run("run", SMOKE, *changed)
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    assert {node["label"] for node in record["nodes"] if node["outcome"] == "ran"} == waiting.keys()
    assert not (project.folder / ".pipeline/quarantine").exists()


def test_a_model_compared_with_itself_is_never_called_different(project: Project) -> None:
    """Steps of no strength give the baseline again, through the whole pipeline."""
    project.edit(SMOKE, "prune: {sparsity: 0.25}", "prune: {sparsity: 0.0, allow_no_effect: true}")
    project.edit(SMOKE, "quantize: {bits: 8}", "quantize: {bits: 32, allow_no_effect: true}")
    run = start(project, "--set", "benchmark.processes=3", "--set", "benchmark.budget_s=4")
    _, errors = run.communicate(timeout=PATIENCE_S)
    found = submission(project)
    assert run.returncode == (5 if found["measurement"]["noisy"] else 0), errors
    assert found["provenance"]["weights"]["optimized"] == found["provenance"]["weights"]["baseline"]
    assert found["benchmark"]["comparisons"][0]["verdict"] in {"equivalent", "inconclusive", "noisy"}
    assert found["comparisons"]["speed"]["verdict"] in {"equivalent", "inconclusive", "noisy"}
