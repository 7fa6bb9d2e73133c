"""Two workers against one on a sweep that only trains: how much of the second core arrives.

The same eight trainings, some seconds each, into a store that knows the code but no result, in turns. What the cores
can give at most is measured beside it: one command of one worker alone, and two of them at once with a store each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.startup import ROOT, ratio, seconds
from tests.bench.target import Target

_FILE = """name: workers
data: {name: digits}
model: {arch: cnn, train: {epochs: EPOCHS}}
optimize:
  - prune: {method: structured, sparsity: 0.5}
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
"""


def run(*, quick: bool = False) -> list[Target]:
    """Measure; each round runs every command once, the order turning with the rounds."""
    rounds, epochs = (2, 20) if quick else (4, 80)
    samples: dict[str, list[float]] = {"one worker": [], "two workers": [], "a copy alone": [], "two copies": []}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "workers.yaml")
        file.write_text(_FILE.replace("EPOCHS", str(epochs)))
        for turn in range(rounds):
            names = list(samples)
            for name in names[turn % 4 :] + names[: turn % 4]:
                samples[name].append(_TIMED[name](file, Path(scratch, f"{name} {turn}")))
    speed_ups = [one / two for one, two in zip(samples["one worker"], samples["two workers"], strict=True)]
    copies = [2 * one / two for one, two in zip(samples["a copy alone"], samples["two copies"], strict=True)]
    ones = [1.0] * rounds
    found = ratio("two workers against one", speed_ups, ones, 1.8)
    return [
        Target(found.what, found.measured, found.interval, found.limit, "x", at_least=True),
        ratio("two separate commands against one: what the cores give", copies, ones, float("inf")),
        seconds("one worker, eight trainings", samples["one worker"], float("inf")),
        seconds("two workers, eight trainings", samples["two workers"], float("inf")),
    ]


def _run(file: Path, scratch: Path, *words: str) -> float:
    return _timed([_command(file, scratch, *words)])


def _copies(file: Path, scratch: Path, count: int) -> float:
    return _timed([_command(file, scratch / str(copy)) for copy in range(count)])


def _command(file: Path, scratch: Path, *words: str) -> list[str]:
    pipeline, store = [sys.executable, "-m", "pipeline"], ["--store", str(scratch / "store")]
    subprocess.run([*pipeline, "plan", str(file), *store], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    places = [*store, "--out", str(scratch / "out")]
    return [*pipeline, "run", str(file), "--until", "evaluate", "--quiet", *places, *words]


def _timed(commands: Sequence[Sequence[str]]) -> float:
    started = time.perf_counter()
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for command in commands]
    codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError(f"a run ended with exit code {max(codes)}")
    return time.perf_counter() - started


_TIMED = {
    "one worker": lambda file, scratch: _run(file, scratch, "--workers", "1"),
    "two workers": lambda file, scratch: _run(file, scratch, "--workers", "2"),
    "a copy alone": lambda file, scratch: _copies(file, scratch, 1),
    "two copies": lambda file, scratch: _copies(file, scratch, 2),
}
