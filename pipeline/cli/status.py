"""Say how far an experiment or a run is: what is done, what runs, what failed last time, what is left and how long.

Of an experiment file: what the next run would still have to do. Of a run (its name or folder): the same of the file it
was started with, as it is now. Nothing is executed.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.board import duration
from pipeline.cli.console import columns
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.runs import find_run
from pipeline.core.errors import UserError
from pipeline.core.event import Outcome
from pipeline.execute.decide import Forecast, forecast
from pipeline.execute.estimate import Estimator, Expectation
from pipeline.execute.journal import EVENTS_FILE, is_running, read_events
from pipeline.report.text import printable, wrap
from pipeline.run import prepare
from pipeline.store.local import LocalStore

__all__ = ["LastRun", "configure", "last_run", "run"]

_TITLE = len("last run")
_END_OF_TIME = 2.0**36  # the year 4147: a calendar ends somewhere
_MOST = 10  # failures and running nodes that the text lists


@dataclass(frozen=True)
class LastRun:
    """The last run into a folder, as its events tell: `state` is running, finished, failed, stopped or killed.

    `running` has the label of what runs, or ran when the process was killed, and when it started; `failed` has label
    and last line of the traceback. While it runs, `ended` does not count what was taken from the store. Times are in
    seconds since the epoch.
    """

    state: str
    started_at: float
    ended_at: float | None
    command: str
    nodes: int
    ended: int
    running: tuple[tuple[str, float], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser, "FILE|RUN", "an experiment file, or a run's name or folder")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the state of the last run, and with what is left to do."""
    store = open_store(args)
    if not Path(args.file).is_file() and (folder := _folder(args.file)):
        last = last_run(folder / EVENTS_FILE)
        return _answer(folder.name, last, _left_of_run(last, args, store) if last else None)
    _check_name(args.file)
    experiment = open_experiment(args, store)
    last = last_run(Path("runs", experiment.name, EVENTS_FILE))
    return _answer(experiment.name, last, _left(args, store, last))


def last_run(path: Path) -> LastRun | None:
    """Return what the events in a file tell of the last run that started; None where there are none.

    The file is data of unknown origin: what is not of the right kind is passed over.
    """
    is_alive = is_running(path)  # before it is read: what ends in between is seen to have ended
    events = list(read_events(path))
    name = next((event.get("run") for event in reversed(events) if event["event"] == "run_started"), None)
    events = [event for event in events if event.get("run") == name and _is_time(event.get("time"))]
    if not events:
        return None
    head, last = events[0], events[-1]
    running: dict[str, tuple[str, float]] = {}
    failed: dict[str, tuple[str, str]] = {}
    ended: set[str] = set()
    for event in events:
        label, node = str(event.get("label")), str(event.get("node"))
        if event["event"] == "node_started":
            running[node] = label, event["time"]
        elif event["event"] == "node_finished":
            running.pop(node, None)
            ended.add(node)
            if event.get("outcome") == Outcome.FAILED.value:
                failed[node] = label, (str(event.get("error") or "").strip().splitlines() or [""])[-1]
    added = [event.get("nodes") for event in events if event["event"] in ("run_started", "nodes_added")]
    is_over = last["event"] == "run_finished"
    outcomes = last.get("outcomes") if is_over else None
    counted = sum(n for n in outcomes.values() if isinstance(n, int)) if isinstance(outcomes, dict) else len(ended)
    return LastRun(
        _state(last, failed, is_alive=is_alive),
        head["time"],
        last["time"] if is_over else None,
        str(head.get("command") or ""),
        max(sum(count for count in added if isinstance(count, int)), counted),
        counted,
        () if is_over else tuple(running.values()),
        tuple(failed.values()),
    )


def _is_time(value: Any) -> bool:
    """Tell whether a value can be a time in seconds since the epoch."""
    return isinstance(value, int | float) and 0 <= value < _END_OF_TIME


def _state(last: Mapping[str, Any], failed: Collection[object], *, is_alive: bool) -> str:
    if last["event"] != "run_finished":
        return "running" if is_alive else "killed"
    if last.get("stopped") is True or last.get("error"):
        return "stopped"
    return "failed" if failed else "finished"


@dataclass(frozen=True)
class _Left:
    """What a run of the file would find now: nodes by what becomes of them, and how long that may take."""

    forecasts: Sequence[Forecast]
    seconds: Expectation

    @property
    def cached(self) -> int:
        return sum(f.status == Outcome.CACHED.value for f in self.forecasts)

    def names(self, status: str) -> dict[str, int]:
        """Return the stages of the nodes with this status, and how many there are of each."""
        found: dict[str, int] = {}
        for f in self.forecasts:
            if f.status == status:
                found[f.node.stage] = found.get(f.node.stage, 0) + 1
        return found


def _left(args: argparse.Namespace, store: LocalStore, last: LastRun | None) -> _Left:
    plan, oracle = prepare(open_experiment(args, store), store)
    forecasts = forecast(plan, oracle)
    open_ = [f.node for f in forecasts if f.status != Outcome.CACHED.value]
    since = dict(last.running) if last and last.state == "running" else {}
    now = time.time()
    expected = Estimator(store, oracle.stages).expect(open_, elapsed=lambda node: now - since.get(node.label, now))
    return _Left(forecasts, expected)


def _left_of_run(last: LastRun, args: argparse.Namespace, store: LocalStore) -> _Left | None:
    """Return what is left of the experiment that a run was started with; None if its file is not to be found here."""
    if args.set or args.sweep:
        raise UserError("--set and --sweep go with a file: a run has its own", hint="name the file instead")
    started = _arguments(last.command)
    if started is None or not Path(started["file"]).is_file():
        return None
    return _left(argparse.Namespace(**{**vars(args), **started}), store, last)


def _arguments(command: str) -> dict[str, Any] | None:
    """Return the file and the overrides of a command as `run` notes it; None for any other text."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    flags, values = words[5::2], words[6::2]
    is_ours = words[:4] == ["python", "-m", "pipeline", "run"] and len(words) % 2 == 1
    if not is_ours or not set(flags) <= {"--set", "--sweep"}:
        return None
    pairs = list(zip(flags, values, strict=True))
    overrides = {flag[2:]: [value for name, value in pairs if name == flag] for flag in ("--set", "--sweep")}
    return {"file": words[4], **overrides}


def _folder(name: str) -> Path | None:
    """Return the folder of a run, of one that has only begun, too."""
    found = (folder for folder in (Path(name), Path("runs", name)) if (folder / EVENTS_FILE).is_file())
    return next(found, None)


def _check_name(name: str) -> None:
    """Raise UserError for what is neither a file nor looks like the name of one."""
    if not Path(name).exists() and Path(name).suffix not in (".yaml", ".yml"):
        find_run(name)
        raise UserError(f"the run '{name}' has no {EVENTS_FILE}", hint="name the experiment file instead")


def _answer(name: str, last: LastRun | None, left: _Left | None) -> Answer:
    now = time.time()
    document: dict[str, Any] = {"name": name, "state": last.state if last else "never run"}
    if last:
        document |= {
            "started_at": last.started_at,
            "ended_at": last.ended_at,
            "command": last.command,
            "nodes": {"asked": last.nodes, "ended": last.ended},
            "running": [{"node": label, "since": since} for label, since in last.running],
            "failed": [{"node": label, "error": error} for label, error in last.failed],
        }
    if left:
        document["left"] = {
            "cached": left.cached,
            "run": left.names("run"),
            "may_run": left.names("may run"),
            "seconds": left.seconds.seconds,
            "unknown_nodes": left.seconds.unknown,
        }
    lines = [line for title, text in _facts(name, last, left, now) for line in _wrapped(title, text)]
    return Answer("\n".join(lines), document)


def _wrapped(title: str, text: str) -> list[str]:
    return wrap(printable(text), columns(), f"{title:<{_TITLE}}  ", " " * (_TITLE + 2))


def _facts(name: str, last: LastRun | None, left: _Left | None, now: float) -> Iterator[tuple[str, str]]:
    """Yield what is to be said as (what it is of, text)."""
    if last is None:
        yield "last run", f"{name} has not run in this folder"
    else:
        yield "last run", f"{name}: {_state_words(last, now)}"
        title = "running" if last.state == "running" else "cut off"
        for label, since in last.running[:_MOST]:
            yield title, f"{label}, for {duration(now - since)}" if last.state == "running" else label
        for label, error in last.failed[:_MOST]:
            yield "failed", f"{label}: {error}"
        if (more := len(last.failed) - _MOST) > 0:
            yield "", f"{more} more failures"
    if left is None:
        yield "left", "not known: the file that it was started with is not here"
        return
    yield "done", f"{left.cached} of {len(left.forecasts)} nodes are stored"
    for title, status in (("to run", "run"), ("may run", "may run")):
        if names := left.names(status):
            yield title, ", ".join(f"{stage} {count}x" if count > 1 else stage for stage, count in names.items())
    if left.cached < len(left.forecasts):
        yield "time", _time_words(left.seconds)


def _state_words(last: LastRun, now: float) -> str:
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.started_at))
    if last.state == "running":
        return f"running for {duration(now - last.started_at)}, {_number(last.ended)} finished so far"
    if last.ended_at is None:
        return f"{last.state}, {_number(last.ended)} finished, started at {started}"
    took = duration(last.ended_at - last.started_at)
    return f"{last.state} after {took}, {last.ended} of {_number(last.nodes)}, started at {started}"


def _number(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _time_words(left: Expectation) -> str:
    known = f"about {duration(left.seconds)}, as far as earlier runs tell" if left.seconds else ""
    unknown = f"not counted: {left.unknown} nodes of a kind that never ran here" if left.unknown else ""
    return "; ".join(filter(None, [known, unknown])) or "less than 0.1 s"
