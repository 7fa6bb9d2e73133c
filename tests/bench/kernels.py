"""Native kernels against BLAS, onnxruntime, OpenVINO and PyTorch: how many times as fast as each, all sides in turns.

Several processes a case, because identical code differs between processes; in each, all sides take turns. One thread.
`--markdown` prints the table for README.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from pipeline.measure import machine
from pipeline.stats.compare import ratio
from tests.bench.kernel_cases import STREAMED_BYTES
from tests.bench.startup import ROOT
from tests.bench.target import Target

_ANY = float("-inf")

Samples = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Row:
    """How many times as fast as a peer ours shall be in a case; `kernels` forces an instruction set.

    With `streamed_bytes`, those that ours reads a call, the figure is the share of the bandwidth of reading memory.
    """

    case: str
    peer: str
    wanted: float
    kernels: str = "auto"
    streamed_bytes: int = 0


def _gemv(size: int, bits: int) -> list[Row]:
    rows = [Row(f"int{bits} {size}²", "BLAS", 4 if bits == 8 else 5.5)]
    return rows + [Row(f"int8 {size}²", "memory", 0.9, streamed_bytes=size * size)] * (bits == 8)


ROWS = (
    Row("64-128-10 fp32", "onnxruntime", 4),
    Row("64-128-10 fp32", "torch", 10),
    Row("64-128-10 fp32", "numpy", _ANY),
    Row("784-512-512-10 int8", "onnxruntime", 1.5),
    Row("784-512-512-10 int8", "numpy", 7),
    Row("784-512-512-10 half, int8", "numpy", 13),
    *(row for bits in (8, 4) for size in (2048, 4096) for row in _gemv(size, bits)),
    Row("16x1 blocks 1024², 50 %", "BLAS", 1.8),
    Row("16x1 blocks 1024², 90 %", "BLAS", 10),
    Row("784-512-512-10 int8, batch 256", "onnxruntime", 1),
    Row("784-512-512-10 int8, batch 256", "openvino", 1),
    Row("784-512-512-10 int8, batch 256", "numpy", _ANY),
    Row("conv 3x3, batch 1", "torch", 0.8),
    Row("conv 3x3, batch 64", "torch", 0.8),
    *(
        Row(f"int8 cached {size}²", "BLAS", 1 if size > 1024 else _ANY, isa)
        for isa in ("avx2", "portable")
        for size in (1024, 2048, 4096)
    ),
)


def run(*, quick: bool = False) -> list[Target]:
    """Measure every case; progress goes to stderr."""
    processes, seconds = (2, 0.5) if quick else (6, 1.5)
    targets = []
    measured: dict[tuple[str, str], list[Samples]] = {}
    for row in ROWS:
        key = row.case, row.kernels
        if key not in measured:
            measured[key] = [_process(row, seconds, seed) for seed in range(processes)]
            times = {name: np.median([np.median(one[name]) for one in measured[key]]) for name in measured[key][0]}
            told = ", ".join(f"{name} {time / 1000:.4g} µs" for name, time in times.items())
            print(f"{row.case} ({row.kernels}): {told}", file=sys.stderr, flush=True)
        targets.append(_target(row, measured[key]))
    return targets


def facts() -> str:
    """Return the machine and the versions behind the figures, in words."""
    peers = ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "openvino", "torch"))
    found = machine.facts()
    return f"{found['cpu']}, one thread of {found['cores']['online']} cores; {peers}"


def _target(row: Row, runs: Sequence[Samples]) -> Target:
    theirs, own = ([np.asarray(one[name]) for one in runs] for name in (row.peer, "session"))
    found = ratio(theirs, own, seed=0)
    scale = row.streamed_bytes / STREAMED_BYTES if row.streamed_bytes else 1.0
    what = f"{row.case}, {'share of bandwidth' if row.streamed_bytes else f'against {row.peer}'}"
    if row.kernels != "auto":
        what += f", {row.kernels}"
    low, high = found.interval
    return Target(what, found.estimate * scale, (low * scale, high * scale), row.wanted, "x", at_least=True)


def _process(row: Row, seconds: float, seed: int) -> Samples:
    # BLAS and OpenMP with one thread, and whatever kernels they choose by themselves.
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "PYTHONDONT"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.kernel_process", row.case, str(seconds), str(seed)],
        cwd=ROOT,
        env=kept | one | {"TINYTORCH_KERNELS": row.kernels},
        stdout=subprocess.PIPE,
        check=True,
    )
    samples: Samples = json.loads(done.stdout.splitlines()[-1])
    return samples
