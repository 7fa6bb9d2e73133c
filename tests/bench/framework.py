"""The framework by itself: training steps against PyTorch, tokens a second, byte pairs; each case in several processes.

In a process all sides take turns; where tokens are decoded, each side is a process (`decoding`). Figures without a peer
are medians of the processes' medians, their interval the least and the largest of these. One thread unless said
otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.measure import machine
from pipeline.stats.compare import ratio
from tests.bench import decoding
from tests.bench.startup import ROOT
from tests.bench.target import Target
from tests.bench.training_cases import BATCH, ON_TWO_THREADS, STEPS

_ANY = float("inf")
COURSE_CONV_MS, COURSE_CONV_GRADIENTS_MS = 137.0, 430.0  # what the course's own loops took, measured once

Samples = Mapping[str, Sequence[float]]

_absent: dict[str, str] = {}  # the peers that are not here, and why


@dataclass(frozen=True)
class Row:
    """A figure of a case: `value` turns a side's nanoseconds into it; with `peer` it is how many times ours takes."""

    what: str
    case: str
    limit: float
    unit: str
    value: Callable[[float], float] = lambda ns: ns
    side: str = "ours"
    peer: str = ""
    at_least: bool = False


def _rate(what: str, case: str, limit: float, side: str = "ours") -> Row:
    return Row(what, case, limit, "tokens/s", lambda ns: 1e9 / ns, side, at_least=True)


def _course(what: str, case: str, course_ms: float) -> Row:
    return Row(what, case, 300, "x the course", lambda ns: course_ms * 1e6 / ns, at_least=True)


ROWS = (
    _course("conv2d 3→16, 3x3, 1x3x32x32 forward", "conv", COURSE_CONV_MS),
    Row("the same, time against PyTorch's", "conv", _ANY, "x", peer="torch"),
    _course("the same, forward and backward", "conv and gradients", COURSE_CONV_GRADIENTS_MS),
    Row("the same, time against PyTorch's", "conv and gradients", _ANY, "x", peer="torch"),
    Row("MLP 784-256-128-10, batch 32, Adam step, against PyTorch's", "MLP", 1.0, "x", peer="torch"),
    Row(
        "CNN 32-64-128, 32x32, batch 64, training step on two threads",
        "CIFAR CNN",
        2_000,
        "images/s",
        lambda ns: BATCH * STEPS * 1e9 / ns,
        at_least=True,
    ),
    Row("the same, time against PyTorch's", "CIFAR CNN", 1 / 0.7, "x", peer="torch"),
    _rate("GPT of 4 layers of 128, decode, int8", "small GPT", 18_000),
    _rate("the same, cache of int8", "small GPT", -_ANY, "cache int8"),
    _rate("the same, float32", "small GPT", -_ANY, "float32"),
    _rate("the same, float32 in NumPy", "small GPT", 3_500, "numpy"),
    _rate("the same, llama.cpp Q8_0", "small GPT", -_ANY, "llama.cpp"),
    Row("int8, time against llama.cpp's", "small GPT", 1.0, "x", peer="llama.cpp"),
    _rate("the same, CTranslate2 int8", "small GPT", -_ANY, "CTranslate2"),
    Row("int8, time against CTranslate2's", "small GPT", 1.0, "x", peer="CTranslate2"),
    _rate("GPT-2 small's shape, decode, int8", "GPT-2 small", 110),
    _rate("the same, llama.cpp Q8_0", "GPT-2 small", -_ANY, "llama.cpp"),
    Row("int8, time against llama.cpp's", "GPT-2 small", 1.0, "x", peer="llama.cpp"),
    _rate("the same, CTranslate2 int8", "GPT-2 small", -_ANY, "CTranslate2"),
    Row("int8, time against CTranslate2's", "GPT-2 small", 1.0, "x", peer="CTranslate2"),
    _rate("the same, int4", "GPT-2 small", -_ANY, "int4"),
    _rate("GPT-2 small's shape, decode, int8, two threads", "GPT-2 small", 220, "ours, two threads"),
    _rate("the same, llama.cpp Q8_0", "GPT-2 small", -_ANY, "llama.cpp, two threads"),
    Row(
        "int8, time against llama.cpp's",
        "GPT-2 small",
        1.0,
        "x",
        side="ours, two threads",
        peer="llama.cpp, two threads",
    ),
    _rate("the same, CTranslate2 int8", "GPT-2 small", -_ANY, "CTranslate2, two threads"),
    Row(
        "int8, time against CTranslate2's",
        "GPT-2 small",
        1.0,
        "x",
        side="ours, two threads",
        peer="CTranslate2, two threads",
    ),
    Row("BPE, 1 MB of Python to 1,000 merges", "BPE", 5.0, "s", lambda ns: ns / 1e9),
)


def run(*, quick: bool = False) -> list[Target]:
    """Measure every case; progress goes to stderr."""
    processes, seconds = (2, 0.5) if quick else (6, 3.0)
    measured: dict[str, list[Samples]] = {}
    for case in dict.fromkeys(row.case for row in ROWS):
        measured[case] = [_process(case, seconds, seed) for seed in range(processes)]
        times = {name: np.median([np.median(one[name]) for one in measured[case]]) for name in measured[case][0]}
        told = ", ".join(f"{name} {time / 1000:.4g} µs" for name, time in times.items())
        print(f"{case}: {told}", file=sys.stderr, flush=True)
    return [
        _target(row, measured[row.case])
        for row in ROWS
        if {row.side, row.peer or row.side} <= set(measured[row.case][0])
    ]


def facts() -> str:
    """Return the machine behind the figures, and which peers are not among them, in words."""
    found = machine.facts()
    return "\n".join([f"{found['cpu']}, {found['cores']['online']} cores", *decoding.told(_absent)])


def _target(row: Row, runs: Sequence[Samples]) -> Target:
    own = [np.asarray(one[row.side]) for one in runs]
    if row.peer:
        found = ratio(own, [np.asarray(one[row.peer]) for one in runs], seed=0)
        return Target(row.what, found.estimate, found.interval, row.limit, row.unit)
    values = sorted(row.value(float(np.median(samples))) for samples in own)
    interval = values[0], values[-1]
    return Target(row.what, float(np.median(values)), interval, row.limit, row.unit, at_least=row.at_least)


def _process(case: str, seconds: float, seed: int) -> Samples:
    # BLAS with one thread and whatever kernels it chooses by itself; OpenMP may have two where a side asks for them.
    # Where both sides do, each has its own: those of the side that waits must not take the core from the other's.
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if case not in ON_TWO_THREADS:
        one["OMP_WAIT_POLICY"] = "active"
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "PYTHONDONT", "OMP_"))
    }
    if case in decoding.CASES:
        return decoding.measure(case, seconds, seed, kept | one, _absent)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.framework_process", case, str(seconds), str(seed)],
        cwd=ROOT,
        env=kept | one,
        stdout=subprocess.PIPE,
        check=True,
    )
    samples: Samples = json.loads(done.stdout.splitlines()[-1])
    return samples
