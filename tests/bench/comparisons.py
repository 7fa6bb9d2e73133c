"""Comparisons whose truth is known, through the benchmark stage as a run uses it; shared by `aa` and `power`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.core.experiment import BenchmarkSpec, as_json
from pipeline.core.stage import Inputs
from pipeline.stages import benchmark
from pipeline.stats.accuracy import wilson_interval
from tests.bench.target import Target
from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Layer
from tinytorch.data.split import Split
from tinytorch.models import mlp
from tinytorch.models.network import Network

BUDGET_S = 10.0
_SHAPE, _CLASSES = (1, 8, 8), 10
_HOG = "while True: pass"


@dataclass(frozen=True)
class Comparison:
    """The record of a comparison and the seconds it took."""

    record: Mapping[str, Any]
    seconds: float

    @property
    def verdict(self) -> str:
        """The stage's verdict."""
        return str(self.record["verdict"])

    @property
    def speedup(self) -> float:
        """The estimate."""
        return float(self.record["speedup"]["estimate"])

    @property
    def excludes_one(self) -> bool:
        """Whether the interval says that the two differ at all."""
        low, high = self.record["speedup"]["interval"]
        return not low <= 1 <= high


def network(extra: int = 0) -> Network:
    """Return the main job's baseline, untrained; with `extra` layers that change its time but not its answers."""
    model = mlp.build(_SHAPE, _CLASSES, np.random.default_rng(0), hidden=[512, 512])
    layers: dict[str, Layer] = {}
    for name, layer in model.named_layers():
        layers[name] = layer
        if name == "relu1":
            layers |= {f"again{number}": ReLU() for number in range(extra)}
    return Network(layers, _SHAPE)


def compare(optimized: Network, count: int) -> list[Comparison]:
    """Compare the baseline with `optimized` again and again, each time with another seed; progress goes to stderr."""
    rng = np.random.default_rng(0)
    images = Split(rng.integers(0, 17, (360, *_SHAPE)).astype(np.uint8), rng.integers(0, _CLASSES, 360), 16.0)
    inputs = Inputs.of(baseline=network(), optimized=optimized, sample=images.to_arrays())
    done = []
    for seed in range(count):
        spec = {**as_json(BenchmarkSpec(budget_s=BUDGET_S)), "wait_s": 0.0, "seed": seed}
        began = time.perf_counter()
        record = benchmark.execute(spec, inputs)["benchmark"]["comparisons"][0]
        done.append(Comparison(record, time.perf_counter() - began))
        low, high = record["speedup"]["interval"]
        line = f"{seed + 1:>3}/{count} {done[-1].speedup:.4f} [{low:.4f}, {high:.4f}] {done[-1].verdict}"
        print(f"{line}, {record['processes']} processes, {done[-1].seconds:.1f} s", file=sys.stderr, flush=True)
    return done


@contextmanager
def hogs() -> Iterator[None]:
    """Keep every core busy that this process may use, so that whichever is measured on has a hog on it."""
    running = []
    try:
        for core in sorted(os.sched_getaffinity(0)):
            hog = subprocess.Popen([sys.executable, "-c", _HOG])
            running.append(hog)
            os.sched_setaffinity(hog.pid, {core})
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


def rate(what: str, seen: int, of: int, limit: float = float("inf"), *, at_least: bool = False) -> Target:
    """Return a share with Wilson's interval, held against a limit if there is one."""
    return Target(what, seen / of, wilson_interval(seen, of), limit, "of 1", at_least)


def spread(what: str, values: Sequence[float], unit: str, limit: float = float("inf")) -> Target:
    """Return the median of values with their range, and hold the largest against a limit."""
    return Target(what, float(np.median(values)), (min(values), max(values)), limit, unit)
