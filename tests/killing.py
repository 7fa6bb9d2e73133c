"""The real command, started in a copy of the project and killed with SIGKILL, and what can be said afterwards.

Whom a kill hits: the whole process group, the command alone, one process below it, or the one that writes. When: after
a share of the time that an undisturbed run takes, or just before the n-th change to a file of the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.execute.journal import read_events
from pipeline.store.local import LocalStore
from tests.processes import descendants
from tests.project import Project

STORE = ".pipeline"
DETERMINISTIC = ("data", "train", "optimize", "evaluate")  # what does not hang on a measurement
PATIENCE_S = 300.0  # only ends what hangs
_VICTIMS = ("group", "command", "child")

# Read by every interpreter that finds it on PYTHONPATH. An audit event comes before the call that it announces; where
# that opens a file, the kill comes after it, when the file is there and empty. The processes of a run count together,
# by the length of a file; the first of them is the command.
_TRIPWIRE = '''
import builtins
import io
import os
import signal
import sys

below, counter, at = (os.environ.get(f"TRIPWIRE_{name}", "") for name in ("BELOW", "COUNTER", "AT"))
command = int(os.environ.setdefault("TRIPWIRE_COMMAND", str(os.getpid())))


def changes(event, arguments):
    """Tell whether an audit event announces a change to a file of the store."""
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return False
    elif event in ("os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.truncate", "sqlite3.connect"):
        path = arguments[1] if event == "os.rename" else arguments[0]
    else:
        return False
    return isinstance(path, int) or os.path.abspath(os.fsdecode(path)).startswith(below)


def watch(event, arguments):
    global is_opening
    if not changes(event, arguments):
        return
    file = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b".")
    seen = os.lseek(file, 0, os.SEEK_CUR)
    os.close(file)
    if seen == int(at or 0):
        if event == "open" and arguments[1] is not None:
            is_opening = True
        else:
            kill()


def open_and_kill(*arguments, **named):
    file = really_open(*arguments, **named)
    if is_opening:
        kill()
    return file


def kill():
    if os.environ["TRIPWIRE_WHOM"] == "group":
        os.killpg(command, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


is_opening, really_open = False, open
if below:
    io.open = builtins.open = open_and_kill
    sys.addaudithook(watch)
'''


@dataclass(frozen=True)
class Undisturbed:
    """What a run gives that nobody kills: its seconds, the number of its writes, its outputs by node."""

    seconds: float
    writes: int
    outputs: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Moment:
    """When a run is killed (`share` of its time, or before its write number `write`) and whom the signal hits."""

    whom: str
    share: float = 0.0
    write: int = 0


def moments(count: int, writes: int, seed: int) -> Iterator[Moment]:
    """Yield moments at random, half of them by the clock and half by writes; the seed decides."""
    draw = random.Random(seed)
    for number in range(count):
        if number % 2:
            yield Moment(draw.choice(_VICTIMS), share=draw.uniform(0.02, 1.0))
        else:
            yield Moment(draw.choice(("group", "writer")), write=draw.randint(1, writes))


def forget(project: Project) -> None:
    """Delete the store and all results."""
    for name in (STORE, "runs"):
        shutil.rmtree(project.folder / name, ignore_errors=True)


def undisturbed(project: Project, *arguments: str) -> Undisturbed:
    """Run the command without a kill, from nothing, counting its writes."""
    process = start(project, *arguments, **tripwire(project))
    assert process.wait(PATIENCE_S) in (0, 5), said(project)
    record = _record(project)
    return Undisturbed(record["finished_at"] - record["started_at"], writes_of(project), outputs_of(project))


def tripwire(project: Project, **variables: str) -> dict[str, str]:
    """Return the variables that make the processes of a run count their writes, from nothing.

    With AT and WHOM, the run is killed before the write of that number: its whole group, or the writer.
    """
    (project.folder / "sitecustomize.py").write_text(_TRIPWIRE)
    counter = project.folder / "writes"
    counter.unlink(missing_ok=True)
    found = {"BELOW": str(project.folder / STORE), "COUNTER": str(counter), **variables}
    return {f"TRIPWIRE_{name}": value for name, value in found.items()}


def writes_of(project: Project) -> int:
    """Return how many writes were counted since `tripwire`."""
    return (project.folder / "writes").stat().st_size


def start(project: Project, *arguments: str, log: str = "said", **variables: str) -> subprocess.Popen[bytes]:
    """Start `python -m pipeline` in a session of its own; what it says goes to a file, since pipes outlive a kill."""
    (project.folder / "tmp").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(project.folder),
        "TMPDIR": str(project.folder / "tmp"),
        "NO_COLOR": "1",
        **variables,
    }
    environment.pop("PIPELINE_STORE", None)
    with open(project.folder / log, "wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=project.folder,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(project: Project, log: str = "said") -> str:
    """Return what the command that was started last has said."""
    return (project.folder / log).read_text()


def run_and_kill(project: Project, moment: Moment, seconds: float, *arguments: str) -> int:
    """Start the command, kill as the moment says, wait until nothing of it is left; return its exit code."""
    is_tripped = moment.write > 0
    variables = tripwire(project, AT=str(moment.write), WHOM=moment.whom) if is_tripped else {}
    process = start(project, *arguments, **variables)
    if not is_tripped:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment.share * seconds)
        kill(process, moment.whom)
    code = process.wait(PATIENCE_S)
    wait_until_alone(project)
    return code


def kill(process: subprocess.Popen[bytes], whom: str) -> None:
    """Send SIGKILL to the command's group, to the command, or to the last process below it, once there is one."""
    victim = process.pid
    while process.poll() is None:
        if whom == "child":
            below = list(descendants(process.pid))
            if not below:
                time.sleep(0.001)
                continue
            victim = below[-1]
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whom == "group" else os.kill)(victim, signal.SIGKILL)
        return


def wait_until_alone(project: Project) -> None:
    """Wait until no process of the project is left; fail when one stays: it would go on measuring, for nobody."""
    name = os.fsencode(project.folder)
    deadline = time.monotonic() + PATIENCE_S
    while left := [path for path in Path("/proc").glob("[0-9]*") if _mentions(path, name)]:
        assert time.monotonic() < deadline, f"still there: {[(path / 'cmdline').read_bytes() for path in left]}"
        time.sleep(0.01)


def _mentions(process: Path, name: bytes) -> bool:
    try:
        return process.name != str(os.getpid()) and name in (process / "environ").read_bytes()
    except OSError:
        return False


def nodes_of(project: Project, name: str = "tiny") -> list[dict[str, Any]]:
    """Return the nodes of the last finished run, as run.json has them."""
    nodes: list[dict[str, Any]] = _record(project, name)["nodes"]
    return nodes


def _record(project: Project, name: str = "tiny") -> Any:
    return json.loads((project.folder / "runs" / name / "run.json").read_text())


def outputs_of(project: Project, name: str = "tiny") -> dict[str, dict[str, str]]:
    """Return node -> role -> digest of all that does not hang on a measurement."""
    return {node["id"]: node["outputs"] for node in nodes_of(project, name) if node["stage"] in DETERMINISTIC}


def damaged_objects(project: Project) -> list[str]:
    """Return the objects whose content is not what their name says, found without the code under test."""
    objects = project.folder / STORE / "objects"
    files = [path for path in objects.rglob("*") if path.is_file()]
    return [str(p) for p in files if hashlib.sha256(p.read_bytes()).hexdigest() != p.parent.name + p.name]


def check_sound(project: Project) -> None:
    """Nothing in the store is damaged or incomplete: neither by an independent look nor as `store verify` has it."""
    assert damaged_objects(project) == []
    if (project.folder / STORE / "CACHEDIR.TAG").exists():  # the last file of a new store
        found = project.json("store", "verify")
        assert (found["damaged"], found["incomplete"]) == ([], [])


def check_recovery(project: Project, expected: Undisturbed, *arguments: str) -> None:
    """Run again after a kill: it completes, with nothing corrupt, nothing finished computed again, the same digests."""
    check_sound(project)
    events = read_events(project.folder / "runs/tiny/events.jsonl")
    announced = {event["key"] for event in events if event.get("outcome") == "ran"}
    before = project.folder / "before"
    shutil.rmtree(before, ignore_errors=True)
    if (project.folder / STORE).exists():
        shutil.copytree(project.folder / STORE, before)
    process = start(project, *arguments)
    assert process.wait(PATIENCE_S) in (0, 5), said(project)
    store = LocalStore(before)
    ran = [node for node in nodes_of(project) if node["outcome"] == "ran"]
    assert [node["label"] for node in ran if store.peek(node["key"]) or node["key"] in announced] == []
    store.close()
    assert outputs_of(project) == expected.outputs
    check_sound(project)
    assert not (project.folder / STORE / "quarantine").exists()
