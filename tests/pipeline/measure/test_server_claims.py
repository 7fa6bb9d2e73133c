"""What is claimed from searches for a rate: of simulated servers whose service times scatter, spike and differ."""

from collections import Counter

import numpy as np
import pytest

from pipeline.measure.job import ARMS
from pipeline.measure.rate import RETREATS, Search, arrivals, likely_rate, tolerated
from pipeline.measure.serving import rate_ratio
from pipeline.stats.compare import verdict
from pipeline.stats.percentile import minimum_passing

NEEDED = [minimum_passing(over, 0.99) + over for over in range(60)]
LIMIT, QUERIES, COMPARISONS = 8.0, 1_500, 40


def latencies(due, service):
    """Return the latencies of a queue with these service times (Lindley's recursion, all at once)."""
    done = np.cumsum(service)
    return done + np.maximum.accumulate(due - (done - service)) - due


def highest_rate(rng, service, seed):
    """Search and confirm as the server does; None if that fails."""

    def is_met(rate, pattern):
        times = service * np.exp(rng.normal(0, 0.05, QUERIES))
        times[rng.random(QUERIES) < 0.002] += 3 * service
        return np.count_nonzero(latencies(pattern / rate, times) > LIMIT) <= tolerated(QUERIES, NEEDED)

    start = min(likely_rate(service, LIMIT, 1 / service), 1 / service)
    search, pattern = Search(start, start / 64, 1 / service), arrivals(QUERIES, seed)
    while not search.is_over:
        search = search.after(is_met(search.rate, pattern) or is_met(search.rate, pattern))
    rates = [search.low / (1 + step) for step in RETREATS] if search.low else []
    return next((rate for i, rate in enumerate(rates, 1) if is_met(rate, arrivals(QUERIES, seed + i))), None)


def claim(speed, number):
    """Return the verdict of a comparison of six processes; the optimized server is faster by a factor."""
    rng = np.random.default_rng(number)
    processes = []
    for process in range(6):
        services = np.array([1.0, 1 / speed, 1.0]) * np.exp(rng.normal(0, 0.008, 3))
        rates = [highest_rate(rng, service, number * 1_000 + process * 10) for service in services]
        arms = {arm: {"rate_per_s": rate} for arm, rate in zip(ARMS, rates, strict=True)}
        processes.append({"server": {"arms": arms}})
    speedup, control = (rate_ratio(processes, other, False, 0) for other in (1, 2))
    return verdict(speedup.widened_by(control).interval, 0.02)


@pytest.mark.parametrize(("speed", "most_wrong"), [(1.0, 0), (1.1, 4)])
def test_claims_are_true(speed, most_wrong):
    """Equal servers are never called faster or slower, and one that is 10 % faster mostly is found to be."""
    found = Counter(claim(speed, number) for number in range(COMPARISONS))
    wanted = {"faster"} if speed > 1 else {"equivalent", "inconclusive"}
    assert sum(count for word, count in found.items() if word not in wanted) <= most_wrong
    assert "slower" not in found
