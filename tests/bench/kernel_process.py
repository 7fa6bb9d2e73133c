"""One process of the bench `kernels`: builds a case, times its sides in turns, prints nanoseconds a call as JSON.

`python -m tests.bench.kernel_process CASE SECONDS SEED`. A sample is as many calls as take about 2 ms; in every round
each side gives one, in random order, so that what the clock or a neighbour does meets all alike.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Mapping

from tests.bench.kernel_cases import CASES, Call

_SAMPLE_NS = 2_000_000
_WARM_S = 0.2


def main(case: str, seconds: float, seed: int) -> dict[str, list[float]]:
    """Return the samples of each side."""
    return timed(CASES[case](), seconds, seed)


def timed(sides: Mapping[str, Call], seconds: float, seed: int) -> dict[str, list[float]]:
    """Time all sides in turns for so long, five times at least; return nanoseconds a call."""
    loops = {name: _loops(call) for name, call in sides.items()}
    shuffle, order = random.Random(seed), list(sides)
    samples: dict[str, list[float]] = {name: [] for name in sides}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(samples[order[0]]) < 5:
        shuffle.shuffle(order)
        for name in order:
            samples[name].append(_sample(sides[name], loops[name]))
    return samples


def _loops(call: Call) -> int:
    """Call it until it is warm; return how often it runs in a sample."""
    deadline, count = time.monotonic() + _WARM_S, 0
    while time.monotonic() < deadline:
        call()
        count += 1
    return max(1, round(count * _SAMPLE_NS / (_WARM_S * 1e9)))


def _sample(call: Call, loops: int) -> float:
    began = time.perf_counter_ns()
    for _ in range(loops):
        call()
    return (time.perf_counter_ns() - began) / loops


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
