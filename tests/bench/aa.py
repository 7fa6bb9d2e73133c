"""A model against itself through the benchmark stage: how often is a difference claimed that is not there?

First on the machine as it is (leave it alone meanwhile), then with a process that spins on every core.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.comparisons import Comparison, compare, hogs, network, rate, spread
from tests.bench.target import Target

_EXCLUDING = 0.05  # what a 95 % interval may miss
_EQUIVALENT = 0.80


def run(*, quick: bool = False) -> list[Target]:
    """Compare 60 times in each condition (6 if quick), some ten minutes each."""
    count = 6 if quick else 60
    idle = compare(network(), count)
    with hogs():
        busy = compare(network(), count)
    return [
        *_targets("idle", idle),
        rate("idle: equivalent", _count(idle, "equivalent"), count, _EQUIVALENT, at_least=True),
        *_targets("busy", busy),
        rate("busy: equivalent", _count(busy, "equivalent"), count),
    ]


def _targets(condition: str, done: Sequence[Comparison]) -> list[Target]:
    claims = _count(done, "faster") + _count(done, "slower")
    return [
        rate(f"{condition}: false claims", claims, len(done), 0.0),
        rate(f"{condition}: intervals that exclude 1", sum(c.excludes_one for c in done), len(done), _EXCLUDING),
        rate(f"{condition}: flagged as noisy", _count(done, "noisy"), len(done)),
        spread(f"{condition}: estimated speed-up, all of them", [c.speedup for c in done], "x"),
        spread(f"{condition}: time of a comparison", [c.seconds for c in done], "s"),
    ]


def _count(done: Sequence[Comparison], verdict: str) -> int:
    return sum(comparison.verdict == verdict for comparison in done)
