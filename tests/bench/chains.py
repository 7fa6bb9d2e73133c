"""Chains of four trivial stages, on one core, against other runners: nothing to do, cold, one parameter changed.

`PATH=…/bin:$PATH python -m tests.bench chains`, where that folder has what is to be compared (`pip install doit joblib
snakemake redun dvc` in an environment of its own). All take turns in one run, at each size in random order. A runner
whose first run would take too long at a size is left out there, which is said on stderr.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.chain_peers import PEERS
from tests.bench.chain_run import CHAIN
from tests.bench.startup import ROOT, environment, ratio, seconds
from tests.bench.target import Target

_LIMITS_S = {1: 0.05, 25: 0.055, 250: 0.09, 25_000: 8.0}  # chains -> of a run with nothing to do
_RSS_MB = {250: 30, 25_000: 400}
_ROUNDS = {1: 20, 25: 20, 250: 8, 25_000: 4}  # fewer where each takes long
_PATIENCE_S = 240  # for the first run of a peer at one size, as the size before lets expect
_SLOW_S = 20  # a command that takes longer is measured less often


@dataclass
class _Runner:
    """What brings some chains up to date, in a folder of its own, and how long it took each time."""

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str]
    samples: list[float] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)

    def run(self, *more: str, timeout_s: float | None = None) -> float:
        """Run once; return the seconds. What ours prints is kept. Raises TimeoutExpired."""
        started = time.perf_counter()
        done = subprocess.run(
            [*self.command, *more],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        elapsed = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{self.name} failed: {done.stdout[-500:]}{done.stderr[-1500:]}")
        if self.name == "ours":
            self.said.append(json.loads(done.stdout))
        return elapsed


def run(*, quick: bool = False) -> list[Target]:
    """Measure what is there, up to 100,000 nodes (1,000 if quick)."""
    if not any(peer.is_there() for peer in PEERS.values()):
        print("no other runner is on PATH, so there is nothing to compare with", file=sys.stderr)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures: list[Target] = []
    with tempfile.TemporaryDirectory() as scratch:
        nothing: dict[int, list[float]] = {}
        cold: dict[str, float] = {}
        for chains in (1, 25, 250) if quick else _LIMITS_S:
            runners = _finished(Path(scratch, str(chains)), chains, cold, 60 if quick else _PATIENCE_S)
            _take_turns(runners, min(_ROUNDS[chains], 5) if quick else _ROUNDS[chains])
            nothing[chains] = runners[0].samples
            figures += _nothing_to_do(chains, runners)
        figures += _overheads(Path(scratch), 3 if quick else 10)
        figures += _one_change(Path(scratch, "25"), 5 if quick else 20)
    return figures + _growth(nothing)


def _ours(folder: Path, chains: int, *more: str) -> _Runner:
    code = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r}); from chain_run import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(folder / "store"), str(chains), *more]
    return _Runner("ours", command, ROOT, environment())


def _finished(folder: Path, chains: int, cold: dict[str, float], patience_s: float = _PATIENCE_S) -> list[_Runner]:
    """Run everything that is there once; `cold` has what a chain took at the size before, and gets what it takes."""
    runners = [_ours(folder / "ours", chains)]
    for name, peer in PEERS.items():
        expected = cold.get(name, 0.0) * chains
        if not peer.is_there():
            continue
        if expected > patience_s:
            print(
                f"{name}: left out at {_nodes(chains)}: its first run would take over {patience_s} s", file=sys.stderr
            )
            continue
        (folder / name).mkdir(parents=True)
        peer.make(folder / name, chains)
        runners.append(_Runner(name, list(peer.command), folder / name, peer.environment(environment())))
    for runner in list(runners):
        runner.folder.mkdir(parents=True, exist_ok=True)
        try:
            elapsed = runner.run(timeout_s=None if runner.name == "ours" else patience_s)
        except subprocess.TimeoutExpired:
            print(f"{runner.name}: left out at {_nodes(chains)}: over {patience_s} s in its first run", file=sys.stderr)
            cold[runner.name] = math.inf
            runners.remove(runner)
            continue
        print(f"{runner.name}: the first run of {_nodes(chains)} took {elapsed:.2f} s", file=sys.stderr)
        cold[runner.name] = elapsed / chains
        for _ in range(2):  # what is remembered settles
            if elapsed < _SLOW_S:
                runner.run()
    return runners


def _take_turns(runners: Sequence[_Runner], rounds: int) -> None:
    """Measure runs with nothing to do; a slow runner is left out of most rounds, and its last time stands for them."""
    shuffle = random.Random(0)
    for number in range(rounds):
        for runner in shuffle.sample(runners, len(runners)):
            is_slow = bool(runner.samples) and runner.samples[-1] > _SLOW_S
            runner.samples.append(runner.samples[-1] if is_slow and number >= 3 else runner.run())


def _nothing_to_do(chains: int, runners: Sequence[_Runner]) -> list[Target]:
    ours, *peers = runners
    size = _nodes(chains)
    figures = [seconds(f"ours, nothing to do with {size}", ours.samples, _LIMITS_S[chains])]
    peaks = [said["peak_bytes"] / 1e6 for said in ours.said]
    if chains in _RSS_MB:
        figures.append(_median(f"ours, peak memory with {size}", peaks, _RSS_MB[chains], "MB"))
    for peer in peers:
        figures.append(seconds(f"{peer.name}, nothing to do with {size}", peer.samples, math.inf))
        figures.append(ratio(f"ours against {peer.name}, {size}", ours.samples, peer.samples, 1.0))
    return figures


def _overheads(scratch: Path, rounds: int) -> list[Target]:
    """Return what a node costs beyond its work: the difference of two cold runs, by the nodes one has more."""
    figures = []
    for executor, many, limit_ms in (("inline", 250, 0.3), ("processes", 25, 5.0)):
        samples = []
        for number in range(rounds):
            folder = scratch / f"{executor} {number}"
            few_s, many_s = (_cold(folder / str(chains), chains, executor) for chains in (1, many))
            samples.append(1000 * (many_s - few_s) / (len(CHAIN) * (many - 1)))
        figures.append(_median(f"ours, cold, a node more ({executor})", samples, limit_ms, "ms"))
    return figures


def _cold(folder: Path, chains: int, executor: str) -> float:
    """Return the time of a run into an empty store that has seen the code; to delete one would disturb the next."""
    runner = _ours(folder, chains, "0", executor)
    _ours(folder, 1, "1", executor).run()
    shutil.rmtree(folder / "store" / "actions")
    shutil.rmtree(folder / "store" / "objects")
    return runner.run()


def _one_change(folder: Path, rounds: int) -> list[Target]:
    """Return how much longer a run takes after one parameter of one stage has changed: three nodes run."""
    samples = []
    for number in range(1, rounds + 1):
        before = _ours(folder / "ours", 25).run()
        runner = _ours(folder / "ours", 25, str(number))
        samples.append(1000 * (runner.run() - before))
        if runner.said[0].get("ran") != len(CHAIN) - 1:
            raise RuntimeError(f"after one change {runner.said[0]}")
    return [_median("ours, one parameter changed, longer by", samples, 15.0, "ms")]


def _growth(nothing: dict[int, list[float]]) -> list[Target]:
    """Return how many times longer a further node takes in the largest run than in one with 1,000 nodes.

    Least times are subtracted, which other load disturbs least; where it made the fewest nodes take longer than 1,000,
    nothing is known, and nothing holds.
    """
    few, some, most = 1, 250, max(nothing)
    if most == some:
        return []
    times = {chains: min(nothing[chains]) for chains in (few, some, most)}
    before, after = ((times[many] - times[few]) / (many - few) for many in (some, most))
    growth = after / before if before > 0 else math.nan
    return [Target("ours, a node of 100,000 against one of 1,000", growth, (math.nan, math.nan), 1.5, "x")]


def _median(what: str, samples: Sequence[float], limit: float, unit: str) -> Target:
    found = seconds(what, samples, limit)
    return Target(what, found.measured, found.interval, limit, unit)


def _nodes(chains: int) -> str:
    return f"{len(CHAIN) * chains:,} nodes"
