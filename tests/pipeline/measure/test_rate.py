"""The search for a server's highest rate, against a simulated queue."""

import itertools
import math

import numpy as np
import pytest

from pipeline.measure.rate import RESOLUTION, Search, arrivals, likely_rate, orders, search_s, tolerated, trial_queries
from pipeline.stats.percentile import minimum_passing

NEEDED = [minimum_passing(over, 0.99) + over for over in range(400)]


def lindley(due, service):
    """Return the latencies of a queue with one server and a fixed service time, by Lindley's recursion."""
    free, latencies = 0.0, []
    for arrival in due:
        free = max(free, arrival) + service
        latencies.append(free - arrival)
    return np.array(latencies)


def searched(search, is_met):
    """Return the search when it is over, and the rates that were tried."""
    tried = []
    while not search.is_over:
        tried.append(search.rate)
        search = search.after(is_met(search.rate))
    return search, tried


def test_arrivals_are_a_poisson_process():
    """Gaps have the mean and the coefficient of variation of the exponential distribution, and depend on the seed."""
    gaps = np.diff(arrivals(50_000, 1))
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(1.0, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, rel=0.02)
    assert np.array_equal(arrivals(100, 1), arrivals(100, 1))
    assert not np.array_equal(arrivals(100, 1), arrivals(100, 2))


@pytest.mark.parametrize("queries", [100, 458, 459, 661, 662, 1000, 20_000])
def test_tolerated_is_early_stopping(queries):
    """So many over the limit support the percentile among these queries, and one more does not."""
    over = tolerated(queries, NEEDED)
    assert over < 0 or minimum_passing(over, 0.99) + over <= queries
    assert minimum_passing(over + 1, 0.99) + over + 1 > queries
    assert (over < 0) == (queries < 459)


@pytest.mark.parametrize("true_rate", [3.0, 90.0, 101.0, 350.0, 999.0])
def test_a_search_ends_just_below_the_true_rate(true_rate):
    """Wherever it starts, the bracket closes to 2 % around the boundary, in about ten trials."""
    found, tried = searched(Search(100.0, 1.0, 1000.0), lambda rate: rate <= true_rate)
    assert found.low <= true_rate < found.high
    assert found.high / found.low <= RESOLUTION
    assert len(tried) <= 14
    assert len(set(tried)) == len(tried)


def test_a_search_stops_where_nothing_further_is_tried():
    """A server that meets the limit even at what it can process at most has that rate; one that never does has none."""
    found, tried = searched(Search(100.0, 10.0, 300.0), lambda rate: True)
    assert (found.low, found.high, tried[-1]) == (300.0, None, 300.0)
    found, tried = searched(Search(100.0, 10.0, 300.0), lambda rate: False)
    assert (found.low, found.high, tried[-1]) == (None, 10.0, 10.0)


@pytest.mark.parametrize("limit", [1.5, 3.0, 8.0])
def test_the_rate_of_a_simulated_queue_is_found(limit):
    """The search finds the highest rate of a fine grid at which early stopping accepts the simulated queue (M/D/1)."""
    due = arrivals(3_000, 7)

    def is_met(rate):
        return np.count_nonzero(lindley(due / rate, 1.0) > limit) <= tolerated(len(due), NEEDED)

    start = likely_rate(1.0, limit, 1e9) / 1e9
    found, _ = searched(Search(start, start / 64, 1.0), is_met)
    grid = np.geomspace(0.005, 1.0, 1_000)
    best = max(rate for rate in grid if is_met(rate))
    assert found.low <= best * 1.001 <= found.low * RESOLUTION * 1.01


def test_the_found_rate_is_the_queues_true_one():
    """With many queries the rate is close to that at which 1 % of a long simulation exceed the limit."""
    limit, due, long = 3.0, arrivals(20_000, 3), arrivals(200_000, 4)
    allowed = tolerated(len(due), [minimum_passing(over, 0.99) + over for over in range(250)])
    found, _ = searched(
        Search(0.5, 0.01, 1.0), lambda rate: np.count_nonzero(lindley(due / rate, 1.0) > limit) <= allowed
    )
    rates = np.arange(0.3, 0.7, 0.01)
    shares = [np.mean(lindley(long / rate, 1.0) > limit) for rate in rates]
    true = np.interp(0.01, shares, rates)
    assert found.low == pytest.approx(true, rel=0.1)
    assert found.low < 1.01 * true  # early stopping errs on the safe side


def test_faster_servers_have_higher_rates_in_proportion():
    """With limits in proportion the same pattern of arrivals gives rates in proportion: arms differ by their speed."""
    due = arrivals(1_500, 11)
    rates = []
    for service in (1.0, 0.5):
        allowed = tolerated(len(due), NEEDED)
        search = Search(0.4 / service, 0.01, 1.0 / service)
        found, _ = searched(
            search,
            lambda rate, service=service, allowed=allowed: (
                np.count_nonzero(lindley(due / rate, service) > 4 * service) <= allowed
            ),
        )
        rates.append(found.low)
    assert rates[1] == pytest.approx(2 * rates[0])


def test_the_first_rate_is_the_heavier_the_longer_the_limit():
    """It is between a twentieth of what can be processed and all of it, and rises with the limit."""
    rates = [likely_rate(1e6, limit, 1_000.0) for limit in (1e5, 1e6, 2e6, 5e6, 1e8, 1e12)]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (50.0, pytest.approx(1_000.0, rel=1e-4))


def test_trials_have_as_many_queries_as_there_is_time_for():
    """Twice the time, twice the queries, within the bounds; the time is that of all arms together."""
    assert trial_queries([100.0, 200.0], 150.0, 10, 100_000) == 1_000
    assert trial_queries([100.0, 200.0], 300.0, 10, 100_000) == 2_000
    assert trial_queries([100.0], 0.001, 662, 100_000) == 662
    assert trial_queries([100.0], 1e9, 662, 100_000) == 100_000
    assert search_s(1_000, [100.0, 200.0]) == pytest.approx(150.0)


def test_arms_take_turns_in_every_order():
    """Six rounds show every order of three arms, each beside its mirror image, and then they repeat."""
    found = list(itertools.islice(orders(3, 5), 12))
    assert sorted(found[:6]) == sorted(itertools.permutations(range(3)))
    assert all(found[i] == found[i + 1][::-1] for i in (0, 2, 4))
    assert found[6:] == found[:6]


def test_the_bracket_closes_by_halves_on_a_log_scale():
    """The next rate is the geometric mean."""
    search = Search(100.0, 1.0, 1000.0).after(True)
    assert search.rate == pytest.approx(125.0)
    search = search.after(False)
    assert search.rate == pytest.approx(math.sqrt(100 * 125))
