"""Dask schedulers and workers as processes on the loopback interface, where each address can be a machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.plan import Node, Plan, Ref
from pipeline.core.stage import StageInfo

ROOT = Path(__file__).parents[3]

_BARE = os.environ.get("PYTHONPATH", "")

STAGE = """
import os, pathlib, signal, sys, time
def execute(spec, inputs):
    inputs.say(f"{spec['name']} works")
    note(spec, "start")
    time.sleep(spec.get("sleep_s", 0))
    if spec.get("raises"):
        raise ValueError("it failed")
    once = pathlib.Path(spec["folder"], "killed")
    if spec.get("kills") == "itself" or (spec.get("kills") == "worker once" and not once.exists()):
        once.touch()
        os.kill(os.getpid() if spec["kills"] == "itself" else os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if spec.get("kills") == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    note(spec, "end")
    return {"out": "|".join([spec["name"], *sorted(inputs[role] for role in inputs)])}

def note(spec, what):
    with open(pathlib.Path(spec["folder"], "log"), "a") as log:
        log.write(f"{spec['name']} {what} {os.environ.get('HOST_OF_THIS_TEST', '')}\\n")
"""
STAGES = {
    name: StageInfo(name, "dask_stage_of_this_test", 1, {"out": "text"}, "", measures=name == "benchmark")
    for name in ("train", "benchmark")
}


def node(name: str, folder: Path, *inputs: str, stage: str = "train", **spec: object) -> Node:
    """Return a node whose output is its name and its inputs' texts; what steers it is no part of its key."""
    wiring = {f"in{place}": Ref(source, "out") for place, source in enumerate(inputs)}
    local = {"folder": str(folder), **spec}
    return Node(
        name,
        stage,
        name,
        {"name": name},
        wiring,
        ("pipeline.core.keys",),
        local,
        {"out": "text"},
        ("pipeline.store.codecs",),
    )


def plan(*nodes: Node) -> Plan:
    return Plan(nodes, (), nodes[-1].id, nodes[-1].id)


def environment(folder: Path) -> dict[str, str]:
    (folder / "dask_stage_of_this_test.py").write_text(STAGE)
    path = os.pathsep.join([str(ROOT), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "DASK_LOGGING__DISTRIBUTED": "critical"}


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """Run a Dask scheduler; yield its address."""
    place = folder / "scheduler.json"
    command = ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(place), "--no-dashboard"]
    # A scheduler needs no package of ours.
    with process(folder, *command, "--dashboard-address", "127.0.0.1:0", PYTHONPATH=_BARE) as running:
        while not place.exists() or not place.read_text().endswith("}"):
            assert running.poll() is None
            time.sleep(0.02)
        yield json.loads(place.read_text())["address"]


@contextlib.contextmanager
def worker(
    folder: Path,
    address: str,
    host: str = "127.0.0.1",
    resources: str = "core=1",
    before: tuple[str, ...] = (),
    **variables: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Dask worker without a nanny; it is lost when it is killed."""
    command = ["dask_worker", address, "--host", host, "--no-nanny", "--nthreads", "2", "--memory-limit", "0"]
    options = ["--local-directory", str(folder), "--no-dashboard", "--dashboard-address", f"{host}:0"]
    wanted = ["--resources", resources] if resources else []
    with process(folder, *command, *options, *wanted, before=before, HOST_OF_THIS_TEST=host, **variables) as running:
        yield running


@contextlib.contextmanager
def process(
    folder: Path, program: str, *arguments: str, before: tuple[str, ...] = (), **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    with open(folder / "output", "ab") as output:
        running = subprocess.Popen(
            [*before, sys.executable, "-m", f"distributed.cli.{program}", *arguments],
            cwd=folder,
            env=environment(folder) | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait()
