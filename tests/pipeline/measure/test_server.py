"""The server loop and its measurements, on a clock that only calls, reads and sleeps move."""

import gc

import numpy as np
import pytest

from pipeline.measure import server
from pipeline.measure.rate import arrivals, tolerated
from pipeline.measure.server import Demand, Pool, measure, serve
from pipeline.stats.percentile import minimum_passing
from tests.pipeline.measure.test_rate import lindley

NEEDED = [minimum_passing(over, 0.99) + over for over in range(300)]
QUERIES = [np.full((1, 2), number, np.float32) for number in range(16)]


class Virtual:
    """Time that passes by reading it (1 µs), sleeping, and calling (a fixed time, and one for each sample)."""

    def __init__(self, call_ns=50_000, sample_ns=0):
        self.now_ns, self.slept_s, self.sizes = 0, [], []
        self.call_ns, self.sample_ns = call_ns, sample_ns

    def clock(self):
        self.now_ns += 1_000
        return self.now_ns

    def sleep(self, seconds):
        self.slept_s.append(seconds)
        self.now_ns += round(seconds * 1e9)

    def call(self, batch):
        self.sizes.append(len(batch))
        self.now_ns += self.call_ns + self.sample_ns * len(batch)
        return batch + 1


def demand(limit_ms=1.0, batch_size=1, **changes):
    return Demand(**{
        "limit_ns": limit_ms * 1e6, "batch_size": batch_size, "needed": NEEDED, "seconds": 0.3, "most_s": 5.0, **changes
    })  # fmt: skip


def served(time, due_ns, asked, most_over=10**9):
    return serve(time.call, Pool(QUERIES, asked.batch_size), due_ns, asked, most_over, time.clock, time.sleep)


@pytest.mark.parametrize("load", [0.3, 0.9, 1.5])
def test_latencies_are_those_of_a_simulated_queue(load):
    """One server with a fixed service time gives Lindley's latencies, overload included: waiting counts."""
    time = Virtual(call_ns=500_000)
    due = np.round(arrivals(400, 3) * 500_000 / load).astype(np.int64)
    found = served(time, due.tolist(), demand())
    expected = lindley(due, 502_000)  # the clock is read twice for each answer
    assert np.max(np.abs(found.latency_ns - expected)) < 0.002 * expected.max() + 10_000
    assert found.over == np.count_nonzero(found.latency_ns > 1e6)


def test_a_slow_answer_delays_no_arrival():
    """Queries that arrive during a long call are late from when they arrived, not from when it ended."""
    time = Virtual(call_ns=1_000_000)
    found = served(time, [0, 10_000, 20_000], demand())
    assert [round(ns / 1e5) for ns in found.latency_ns] == [10, 20, 30]


def test_what_is_due_is_answered_together():
    """Up to the batch size, in the order of arrival; the first of a pause is answered alone."""
    time = Virtual(call_ns=100_000)
    found = served(time, [0, 1_000, 2_000, 3_000, 4_000, 1_000_000], demand(batch_size=3))
    assert time.sizes == [1, 3, 1, 1]
    assert len(found.latency_ns) == 6
    assert [(first, count) for first, count, _ in found.answers] == [(0, 1), (1, 3), (4, 1), (5, 1)]


def test_queries_get_their_samples_going_round():
    """Query number n is about sample n, after the last one the first again, and a batch is a view."""
    pool = Pool(QUERIES, 5)
    assert [int(row[0]) for row in pool.batch(14, 5)] == [14, 15, 0, 1, 2]
    assert np.shares_memory(pool.batch(0, 2), pool.batch(1, 2))
    wide = Pool(QUERIES[:3], 8)
    assert [int(row[0]) for row in wide.batch(2, 8)] == [2, 0, 1, 2, 0, 1, 2, 0]


def test_long_gaps_are_slept_through_but_for_the_end():
    """The thread spins through the last millisecond, so that waking up costs no latency."""
    time = Virtual()
    found = served(time, [0, 1_500_000, 50_000_000], demand())
    assert len(time.slept_s) == 1
    assert time.slept_s[0] == pytest.approx(0.0474, abs=0.001)
    assert found.latency_ns.max() < 60_000


def test_a_trial_that_cannot_meet_the_limit_any_more_ends():
    """Once more are over the limit than tolerated, the rest need not be waited for."""
    time = Virtual(call_ns=2_000_000)
    found = served(time, list(range(0, 10**8, 10**6)), demand(), most_over=3)
    assert (found.over, len(found.latency_ns)) == (4, 4)


def at_virtual_time(monkeypatch, *speeds_ns):
    """Let `measure` run on a virtual clock, with one arm for each time of a call; return their calls."""
    time = Virtual()
    monkeypatch.setattr(server, "wall_ns", time.clock)
    real = server.serve
    monkeypatch.setattr(server, "serve", lambda *arguments: real(*arguments, clock=time.clock, sleep=time.sleep))

    def call(speed_ns):
        def answer(batch):
            time.now_ns += speed_ns
            return batch + 1

        return answer

    return [call(speed_ns) for speed_ns in speeds_ns]


def test_rates_of_arms_are_found(monkeypatch):
    """Rates are those of simulated queues, equal for equal arms, higher for a faster one, and each is confirmed."""
    calls = at_virtual_time(monkeypatch, 400_000, 200_000, 400_000)
    found = measure(calls, QUERIES, demand(limit_ms=2.0, seconds=6.0, most_s=60.0), seed=1).to_json("boc")
    n, rates = found["queries"], {arm: one["rate_per_s"] for arm, one in found["arms"].items()}
    assert n >= 662
    assert rates["b"] == pytest.approx(rates["c"], rel=0.021)
    assert rates["o"] > 2 * rates["b"]
    for arm, service_s in (("b", 0.0004), ("o", 0.0002)):
        one = found["arms"][arm]
        assert one["reason"] is None
        assert one["over"] <= tolerated(n, NEEDED)
        assert len(one["latency_ns"]) == n
        over = [
            np.count_nonzero(lindley(arrivals(n, 1_000 + k) / (1.1 * rates[arm]), service_s) > 0.002) for k in (0, 1)
        ]
        assert max(over) > tolerated(n, NEEDED)  # ten percent more would not have met the limit both times


def test_no_rate_is_beyond_what_can_be_sustained(monkeypatch):
    """A trial may be too short for a queue to grow beyond a long limit: the rate is that of calls without a pause."""
    calls = at_virtual_time(monkeypatch, 200_000)
    found = measure(calls, QUERIES, demand(limit_ms=1_000.0), seed=0).to_json("b")["arms"]["b"]
    assert found["most_per_s"] == pytest.approx(1e9 / 202_000, rel=0.01)  # the clock is read twice for each answer
    assert found["rate_per_s"] == found["most_per_s"]


def test_batches_sustain_more(monkeypatch):
    """Answering four queries in a call that takes as long as one sustains four times the rate."""
    calls = at_virtual_time(monkeypatch, 200_000)
    found = measure(calls, QUERIES, demand(batch_size=4), seed=0).to_json("b")["arms"]["b"]
    assert found["most_per_s"] == pytest.approx(4e9 / 202_000, rel=0.01)


def test_a_call_longer_than_the_limit_has_no_rate(monkeypatch):
    """There is nothing to search for; the other arm's rate is still found."""
    slow, fast = at_virtual_time(monkeypatch, 3_000_000, 100_000)
    found = measure([slow, fast], QUERIES, demand(), seed=0).to_json("bo")["arms"]
    assert found["b"]["rate_per_s"] is None
    assert found["b"]["reason"].startswith("a call takes 3 ms, more than the limit")
    assert (found["b"]["trials"], found["o"]["reason"]) == (0, None)


def test_a_search_that_would_take_too_long_is_not_begun(monkeypatch):
    """662 queries of 100 ms do not fit into 5 s; the reason has both numbers."""
    calls = at_virtual_time(monkeypatch, 100_000_000)
    found = measure(calls, QUERIES, demand(limit_ms=1_000.0), seed=0).to_json("b")["arms"]["b"]
    assert (found["rate_per_s"], found["trials"]) == (None, 0)
    assert "662 queries" in found["reason"]
    assert "leaves it 5 s" in found["reason"]


def test_a_search_ends_when_its_time_is_over(monkeypatch):
    """An arm that becomes slow during the search is given up with the reason, and nothing hangs."""
    (quick,) = at_virtual_time(monkeypatch, 100_000)
    calls = iter(range(10**9))

    def slower(batch):
        for _ in range(0 if next(calls) < 500 else 100_000):
            quick(batch)
        return quick(batch)

    found = measure([slower], QUERIES, demand(), seed=0).to_json("b")["arms"]["b"]
    assert found["rate_per_s"] is None
    assert found["reason"]


def test_a_given_rate_is_run_at_without_a_search(monkeypatch):
    """All trials run to their end, over the limit or not, and latencies are kept."""
    calls = at_virtual_time(monkeypatch, 400_000, 200_000)
    found = measure(calls, QUERIES, demand(limit_ms=0.3, rate_per_s=1_000.0, seconds=4.0), seed=0).to_json("bo")
    arms = found["arms"]
    assert [arm["rate_per_s"] for arm in arms.values()] == [1_000.0, 1_000.0]
    assert len(arms["b"]["latency_ns"]) == len(arms["o"]["latency_ns"]) == arms["b"]["trials"] * found["queries"]
    assert arms["b"]["over"] == len(arms["b"]["latency_ns"])
    assert arms["o"]["over"] < len(arms["o"]["latency_ns"])


def test_a_given_rate_that_is_too_low_for_the_budget_is_said(monkeypatch):
    """One query a minute gives no figure within a second."""
    calls = at_virtual_time(monkeypatch, 400_000)
    found = measure(calls, QUERIES, demand(rate_per_s=1 / 60), seed=0).to_json("b")["arms"]["b"]
    assert (found["rate_per_s"], found["latency_ns"]) == (None, [])
    assert "time for 0 queries" in found["reason"]


def test_answers_are_kept_for_checking(monkeypatch):
    """Some answers of the last trial stand beside the samples they belong to."""
    calls = at_virtual_time(monkeypatch, 100_000)
    found = measure(calls, QUERIES, demand(batch_size=4), seed=0)
    asked, answers = found.answers(0)
    assert 20 <= len(answers) <= 60
    assert all(np.array_equal(answer, asked[number] + 1) for number, answer in answers.items())
    assert gc.isenabled()
