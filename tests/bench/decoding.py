"""Tokens a second, ours and of llama.cpp and CTranslate2: each side a process, all of a case in turns.

A turn is a whole text, from a prompt to the last position of the cache. All processes but the one whose turn it is are
stopped: threads that wait actively for work would take a core from the others. The peers run in the Python that
BENCH_PYTHON names, by default in this one; a peer that it does not have is left out, and why is told.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.decode_process import PEERS
from tests.bench.startup import ROOT

VARIABLE = "BENCH_PYTHON"
LEAST_ROUNDS = 3

# How a side's threads wait where not as the caller says, which is actively: for each side what is faster for it. Of
# GPT-2 small's shape two threads of CTranslate2 decode 75 tokens/s so and 47 if they wait actively; one is as fast with
# either. llama.cpp (180 and 95) and ours (270 and 180 to 220) gain by active waiting.
_WAITING = {"CTranslate2": "passive"}

# The sides of a case and their threads, by the name that its samples have.
CASES: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "small GPT": {
        "ours": ("int8", 1),
        "cache int8": ("int8, cache int8", 1),
        "float32": ("float32", 1),
        "numpy": ("numpy", 1),
        "llama.cpp": ("llama.cpp", 1),
        "CTranslate2": ("CTranslate2", 1),
    },
    "GPT-2 small": {
        "ours": ("int8", 1),
        "ours, two threads": ("int8", 2),
        "int4": ("int4", 1),
        "llama.cpp": ("llama.cpp", 1),
        "llama.cpp, two threads": ("llama.cpp", 2),
        "CTranslate2": ("CTranslate2", 1),
        "CTranslate2, two threads": ("CTranslate2", 2),
    },
}


@dataclass
class _Side:
    process: subprocess.Popen[str]

    def turn(self) -> float:
        """Decode a text; return nanoseconds a token."""
        self.process.send_signal(signal.SIGCONT)
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.line()
        self.process.send_signal(signal.SIGSTOP)
        return float(answer)

    def line(self) -> str:
        """Return the next line that it writes."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        return line.strip()

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def measure(
    case: str, seconds: float, seed: int, environment: Mapping[str, str], absent: dict[str, str]
) -> dict[str, list[float]]:
    """Return nanoseconds a token of each side, at least LEAST_ROUNDS of them; note in `absent` which are not there."""
    sides: dict[str, _Side] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, side in CASES[case].items():
                if side[0] in absent:
                    continue
                started = _start(case, side, environment, folder)
                reply = started.line()
                if reply == "ready":
                    started.process.send_signal(signal.SIGSTOP)
                    sides[name] = started
                else:
                    absent[side[0]] = reply.removeprefix("absent ")
                    started.end()
            return _rounds(sides, seconds, seed)
        finally:
            for started in sides.values():
                started.end()


def _start(case: str, side: tuple[str, int], environment: Mapping[str, str], folder: str) -> _Side:
    name, threads = side
    given = {variable: value for variable, value in environment.items() if variable != "OMP_NUM_THREADS"}
    if name in _WAITING:
        given["OMP_WAIT_POLICY"] = _WAITING[name]
    python = os.environ.get(VARIABLE, sys.executable) if name in PEERS else sys.executable
    return _Side(
        subprocess.Popen(
            [python, "-m", "tests.bench.decode_process", case, name, str(threads), folder],
            cwd=ROOT,
            env=given,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )


def _rounds(sides: Mapping[str, _Side], seconds: float, seed: int) -> dict[str, list[float]]:
    shuffle, order = random.Random(seed), list(sides)
    samples: dict[str, list[float]] = {name: [] for name in sides}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(samples[order[0]]) < LEAST_ROUNDS:
        shuffle.shuffle(order)
        for name in order:
            samples[name].append(sides[name].turn())
    return samples


def told(absent: Mapping[str, str]) -> Sequence[str]:
    """Return a line for each peer that is not there."""
    wanted = f"; {VARIABLE} names the Python that has it"
    return [f"left out {name}: {reason}{wanted}" for name, reason in absent.items()]
