"""Start-up times as ratios to a bare interpreter that imports five modules; all commands take turns in one run."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.target import Target

ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "prune_quant.yaml"
PEER = [sys.executable, "-c", "import argparse, json, hashlib, sqlite3, yaml"]


def run(*, quick: bool = False) -> list[Target]:
    """Measure; the first, uncached run of the main job comes before the clock starts."""
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = [sys.executable, "-m", "pipeline"]
        commands: dict[str, Sequence[str]] = {
            "peer": PEER,
            "help": [*pipeline, "--help"],
            "cached run": finished_job(Path(scratch)),
            "validate": [*pipeline, "validate", str(EXPERIMENT)],
        }
        samples = interleave(commands, 10 if quick else 40)
    peer = samples["peer"]
    return [
        ratio("pipeline --help, against the five imports", samples["help"], peer, 1.6),
        ratio("fully cached run of the main job, likewise", samples["cached run"], peer, 4.0),
        seconds("fully cached run of the main job", samples["cached run"], 0.5),
        seconds("validate the main job's file", samples["validate"], 0.3),
    ]


def finished_job(scratch: Path) -> Sequence[str]:
    """Run the main job into a store of its own, and return the command that now finds nothing to do."""
    command = [sys.executable, "-m", "pipeline", "run", str(EXPERIMENT)]
    command += ["--store", str(scratch / "store"), "--out", str(scratch / "out")]
    for _ in range(3):  # the first run computes, the next two settle what is remembered
        subprocess.run(
            command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
    return command


def environment() -> dict[str, str]:
    """Return this process's environment; what it starts keeps compiled modules, as an installed program does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def interleave(
    commands: Mapping[str, Sequence[str]], rounds: int, folders: Mapping[str, Path | None] | None = None
) -> dict[str, list[float]]:
    """Return each command's wall times in seconds; in every round all run once, in random order."""
    order, samples = list(commands), {name: [] for name in commands}
    shuffle = random.Random(0)
    for _ in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            folder = (folders or {}).get(name) or ROOT
            started = time.perf_counter()
            subprocess.run(commands[name], cwd=folder, env=environment(), stdout=subprocess.DEVNULL, check=True)
            samples[name].append(time.perf_counter() - started)
    return samples


def ratio(what: str, ours: Sequence[float], peer: Sequence[float], limit: float) -> Target:
    """Return the median of the rounds' ratios, held against an upper limit."""
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    return Target(what, statistics.median(ratios), _median_interval(ratios), limit, "x")


def seconds(what: str, samples: Sequence[float], limit: float) -> Target:
    """Return the median time, held against an upper limit."""
    return Target(what, statistics.median(samples), _median_interval(samples), limit, "s")


def _median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the order-statistic interval of the median at about 95 % (normal approximation of the binomial)."""
    ordered, n = sorted(values), len(values)
    reach = round(0.98 * n**0.5)
    return ordered[max(0, n // 2 - reach)], ordered[min(n - 1, n // 2 + reach)]
