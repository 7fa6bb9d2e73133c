"""A leaderboard of 10,000 submissions of 2,000 teams: how long it takes, how much memory, and whether it is right.

One real run of a few seconds is varied: each submission has other times, answers and weights, in evidence of the usual
size, and every figure made anew from them, so that all there is to check is checked. Some are copies of another team's
weights or answers, some are tampered with. Making them takes some minutes and 2 GB in the temporary folder.
"""

from __future__ import annotations

import filecmp
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.bench.startup import ROOT, environment
from tests.bench.target import Target
from tests.processes import descendants
from tests.submission_variants import Variant, read_template, vary, write

_COMPETITION = "tiny_digits"
_ATTEMPTS = 5  # of each team
_EXPERIMENT = """
name: entry
competition: tiny_digits
data: {name: digits}
model: {arch: mlp, args: {hidden: [512, 512]}, train: {epochs: 20, lr: 1e-3, label_smoothing: 0.1}}
optimize:
  - prune: {method: structured, sparsity: 0.5, except: [fc_out]}
  - finetune: {epochs: 5, lr: 5e-4}
  - quantize: {bits: 8}
benchmark: {processes: 4, target_ci: 0.02, budget_s: 20, wait_s: 30}
goals: [{metric: accuracy, max_drop: 0.02}]
"""
_FILES = ("LEADERBOARD.md", "leaderboard.csv", "leaderboard.html", "leaderboard.json")
_told: list[str] = []


@dataclass
class _Run:
    """How long a command took, how much of it its processes computed, and the most memory of all of them together."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    answer: dict[str, Any]


def run(*, quick: bool = False) -> list[Target]:
    """Measure 10,000 submissions (500 if quick): never seen before, once more, and once more after one was added."""
    teams = 100 if quick else 2000
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        template = _template(scratch)
        started = time.perf_counter()
        tampered = _make(template, scratch / "submissions", teams)
        _told.append(f"made {teams * _ATTEMPTS} submissions in {time.perf_counter() - started:.0f} s")
        first = _leaderboard(scratch, "first")
        again = _leaderboard(scratch, "again")
        _check(first.answer, teams, tampered)
        _told.append(f"CPU time: {first.cpu_seconds:.1f} s, once more {again.cpu_seconds:.1f} s")
        _told.append(f"found: {json.dumps(first.answer['counts'])}")
        same = all(filecmp.cmp(scratch / "first" / file, scratch / "again" / file, shallow=False) for file in _FILES)
        sizes = {file: (scratch / "first" / file).stat().st_size for file in _FILES}
        _told.append(f"bytes of the files: {json.dumps(sizes)}")
        shutil.copytree(scratch / "submissions/team 0000/0", scratch / "submissions/latecomer")
        added = _leaderboard(scratch, "added")
    count = teams * _ATTEMPTS
    return [
        _target(f"{count:,} submissions, never seen before", first.seconds, 6.0 if quick else 60.0, "s"),
        _target("memory of all its processes together", first.peak_mb, 1000.0, "MB"),
        _target("once more", again.seconds, first.seconds / 2, "s"),
        _target("once more, after one was added", added.seconds, first.seconds / 2, "s"),
        _target("files that are not the same byte by byte", 0.0 if same else 1.0, 0.0, ""),
    ]


def facts() -> str:
    """Return what was made and found, and on how many cores."""
    return "\n".join([*_told, f"cores: {len(os.sched_getaffinity(0))}"])


def _template(scratch: Path) -> Path:
    """Run the experiment until it passes the competition, which noise may prevent; return the folder of the run."""
    (scratch / "entry.yaml").write_text(_EXPERIMENT)
    for _ in range(5):
        _pipeline(scratch, "run", "entry.yaml", "--fresh")
        found = json.loads(_pipeline(scratch, "validate", "runs/entry/submission.json", "--json").stdout)
        if found["files"][0].get("competition", {}).get("status") == "pass":
            return scratch / "runs/entry"
    raise RuntimeError(f"the machine is too noisy to make a submission that passes: {json.dumps(found)[:2000]}")


def _make(template: Path, folder: Path, teams: int) -> int:
    """Write the submissions; return how many of them are tampered with."""
    numbers = [range(start, min(start + 50, teams)) for start in range(0, teams, 50)]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        return sum(pool.map(_make_teams, [template] * len(numbers), [folder] * len(numbers), numbers))


_cached_template = cache(read_template)


def _make_teams(template: Path, folder: Path, teams: range) -> int:
    document, evidence = _cached_template(template)
    tampered = 0
    for team in teams:
        rng = random.Random(team)
        level = rng.uniform(0.6, 1.4)
        for attempt in range(_ATTEMPTS):
            number = team * _ATTEMPTS + attempt
            weights = rng.randrange(team * _ATTEMPTS) if team and rng.random() < 0.02 else None
            variant = Variant(
                number,
                slower=level * rng.uniform(0.95, 1.05),
                flips=rng.randrange(3),
                weights=weights,
                measured_at=f"2026-11-{1 + attempt:02}T12:{number // 60 % 60:02}:{number % 60:02}Z",
            )
            data, samples = vary(document, evidence, variant)
            if rng.random() < 0.03:
                data = data.replace(b'"ratio": 1', b'"ratio": 9', 1)
                tampered += 1
            write(folder / f"team {team:04}" / str(attempt), (data, samples))
    return tampered


def _leaderboard(scratch: Path, out: str) -> _Run:
    command = [sys.executable, "-m", "pipeline", "leaderboard", "submissions", "--competition", _COMPETITION]
    process = subprocess.Popen(
        [*command, "--out", out, "--json"], cwd=scratch, env=_environment(), stdout=subprocess.PIPE, text=True
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    started, computed = time.perf_counter(), _computed()
    watcher.start()
    answer, _ = process.communicate()
    seconds, cpu_seconds = time.perf_counter() - started, _computed() - computed
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"the leaderboard ended with {process.returncode}: {answer[-2000:]}")
    return _Run(seconds, cpu_seconds, peak[0], json.loads(answer))


def _computed() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    """Note the most resident memory of a process and its children together; shared pages count in each."""
    while process.poll() is None:
        peak[0] = max(peak[0], sum(map(_resident_mb, [process.pid, *descendants(process.pid)])))
        time.sleep(0.1)


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def _check(answer: dict[str, Any], teams: int, tampered: int) -> None:
    """Raise RuntimeError if a tampered submission is not refused, or an honest one is."""
    states = Counter(one["state"] for one in answer["submissions"])
    if states["invalid"] != tampered or len(answer["teams"]) != teams or not states["ranked"]:
        raise RuntimeError(f"{tampered} are tampered with, and found were {dict(states)}")


def _target(what: str, measured: float, limit: float, unit: str) -> Target:
    return Target(what, measured, (measured, measured), limit, unit)


def _pipeline(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, cwd=scratch, env=_environment(), capture_output=True, text=True, check=False)


def _environment() -> dict[str, str]:
    return {**environment(), "PYTHONPATH": str(ROOT)}
