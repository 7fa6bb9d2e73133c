"""A truly slower model against the baseline through the benchmark stage: how often is the difference found, how fast?

The slower one applies its first ReLU thirty times more: the same answers, about 5 % more time. How much it is in truth
is the median of all comparisons of the run, which stands beside the rate.
"""

from __future__ import annotations

from tests.bench.comparisons import BUDGET_S, compare, network, rate, spread
from tests.bench.target import Target

_EXTRA = 30
_FOUND = 0.95
_SLOWDOWN = 1.06  # at most, or the difference would be easier to find than the one the target speaks of
_OVERTIME = 1.1  # a comparison ends with the process that spends its budget


def run(*, quick: bool = False) -> list[Target]:
    """Compare 40 times (6 if quick), some seven minutes."""
    count = 6 if quick else 40
    done = compare(network(extra=_EXTRA), count)
    found = sum(comparison.verdict == "slower" for comparison in done)
    wrong = sum(comparison.verdict == "faster" for comparison in done)
    slowdowns = [1 / comparison.speedup for comparison in done]
    return [
        rate("a true slow-down is found", found, count, _FOUND, at_least=True),
        rate("it is taken for a speed-up", wrong, count, 0.0),
        spread("the slow-down: median and range of the estimates", slowdowns, "x", _SLOWDOWN),
        spread("time of a comparison: median and range", [c.seconds for c in done], "s", BUDGET_S * _OVERTIME),
    ]
