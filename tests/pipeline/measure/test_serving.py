"""What a server's processes are asked, and the record and ratio made of their trials."""

import numpy as np
import pytest

from pipeline.measure.job import ARMS
from pipeline.measure.serving import about_the_rates, options, rate_ratio, server_record
from pipeline.stats.percentile import minimum_passing


def process(rates, limit_ms=5.0, latency_ms=1.0, queries=1_000, over=0, reason=None):
    """Return the server part of a result: a rate, or None, by arm; latencies of which some are over the limit."""

    def arm(rate):
        latencies = [] if rate is None else [latency_ms * 1e6] * (queries - over) + [2 * limit_ms * 1e6] * over
        return {
            "rate_per_s": rate,
            "reason": None if rate else reason or "no rate met the limit",
            "trials": 9,
            "over": over,
            "latency_ns": latencies,
            "served_ns": 0 if rate is None else round(queries / rate * 1e9),
            "call_ns": 1e5,
            "most_per_s": 2_000.0,
        }

    return {"server": {"queries": queries, "arms": dict(zip(ARMS, map(arm, rates), strict=True))}}


def test_options_have_early_stoppings_table_and_a_share_of_the_budget():
    """The worker needs no scipy: how many queries each number over the limit needs is written into its job."""
    found = options(5.0, None, 60.0, 6)
    assert found["limit_ns"] == 5e6
    assert found["needed"][:2] == [459, 662]
    assert all(needed == minimum_passing(over, 0.99) + over for over, needed in enumerate(found["needed"][:20]))
    assert found["needed"][-1] > 20_000
    assert found["seconds"] == pytest.approx(60 / 6 - 1.2)
    assert found["most_s"] == 20.0
    assert options(5.0, None, 2.0, 2)["seconds"] > 0


def test_the_ratio_is_that_of_rates_by_process():
    """A model that keeps twice the rate in every process is twice as fast; equal arms are equal."""
    rng = np.random.default_rng(0)
    base = 1_000 * np.exp(rng.normal(0, 0.02, 6))
    processes = [process((rate, 2 * rate * 1.001, rate)) for rate in base]
    speedup, control = (rate_ratio(processes, other, False, 0) for other in (1, 2))
    assert speedup.estimate == pytest.approx(2.002)
    assert speedup.method.startswith("ratio of highest rates by process")
    assert (control.estimate, control.excludes_one) == (pytest.approx(1.0), False)


def test_the_interval_is_between_processes():
    """Rates that scatter by 10 % give an interval that says so."""
    rng = np.random.default_rng(1)
    processes = [process((1_000, 1_000 * np.exp(rng.normal(0, 0.1)), 1_000)) for _ in range(6)]
    found = rate_ratio(processes, 1, False, 0)
    assert found.interval[0] < 1 < found.interval[1]
    assert 0.03 < found.half_width < 0.3
    assert len(found.per_process) == 6


def test_at_a_given_rate_median_latencies_are_compared():
    """The rates are equal then; half the latency is twice as fast."""
    processes = [process((100, 100, 100)) for _ in range(3)]
    for one in processes:
        one["server"]["arms"]["optimized"]["latency_ns"] = [0.5e6] * 1_000
    found = rate_ratio(processes, 1, True, 0)
    assert found.estimate == pytest.approx(2.0)
    assert found.method.startswith("ratio of median latencies")


@pytest.mark.parametrize(("missing", "exists"), [(0, True), (1, True), (2, True), (3, False), (6, False)])
def test_processes_without_a_rate_count_neither_way_until_they_are_many(missing, exists):
    """With rates in no more than half of the processes there is no ratio, and no rate; that some lack one is said."""
    processes = [process((1_000 if number >= missing else None, 2_000, 1_000)) for number in range(6)]
    assert (rate_ratio(processes, 1, False, 0) is not None) is exists
    record = server_record(5.0, None, processes)
    assert (record["arms"]["baseline"]["rate_per_s"] is not None) is exists
    texts = about_the_rates(record, exists)
    assert any(f"{missing} of 6 processes" in text for text in texts) is (missing > 0)


def test_the_record_names_rate_interval_and_latencies():
    """The rate is the median over processes, the latencies are those of all trials at the rates."""
    processes = [process((rate, 2 * rate, rate), over=3) for rate in (900.0, 1_000.0, 1_100.0)]
    record = server_record(5.0, None, processes)
    arm = record["arms"]["baseline"]
    assert (record["latency_limit_ns"], record["percentile"], record["confidence"]) == (5e6, 0.99, 0.99)
    assert record["queries_per_trial"] == [1_000] * 3
    assert arm["rate_per_s"] == 1_000.0
    assert arm["interval"][0] < 1_000 < arm["interval"][1]
    assert (arm["per_process"], arm["rate_per_s_reason"]) == ([900.0, 1_000.0, 1_100.0], None)
    assert (arm["queries"], arm["over_limit"], arm["p99_ns"], arm["limit_status"]) == (3_000, 9, 1e6, "met")
    assert arm["achieved_per_s"] == pytest.approx(3 / (1 / 900 + 1 / 1_000 + 1 / 1_100))
    assert arm["trials"] == 27


def test_an_arm_without_a_rate_has_the_reason():
    """Null with the reason of its processes, and the warnings say what the speed-up is of instead."""
    processes = [process((None, 500.0, None), reason="a call takes 9 ms, more than the limit") for _ in range(3)]
    record = server_record(5.0, None, processes)
    arm = record["arms"]["baseline"]
    assert (arm["rate_per_s"], arm["interval"], arm["p99_ns"], arm["achieved_per_s"]) == (None, None, None, None)
    assert arm["rate_per_s_reason"].startswith("in 3 of 3 processes there is no rate; in the first, a call takes 9 ms")
    assert arm["p99_ns_reason"] == "needs 662 samples, has 0"
    warnings = about_the_rates(record, has_ratio=False)
    assert warnings[0].startswith("baseline: in 3 of 3")
    assert warnings[-1] == "without the rates of both models the speed-up is that of calls one after the other"


def test_trials_shorter_than_a_queue_takes_to_grow_are_said():
    """A limit of a second and trials of a second show what the models can process, not what the limit allows."""
    record = server_record(1_000.0, None, [process((1_000.0, 1_000.0, 1_000.0), limit_ms=1_000.0)] * 3)
    (warning,) = about_the_rates(record, has_ratio=True)
    assert warning.startswith("a trial lasts 1 s, little beside the limit of 1 s")


def test_a_rate_that_cannot_be_kept_up_with_is_said():
    """Latencies in overload depend on the length of a trial, and a ratio of them says nothing lasting."""
    processes = [process((100.0, 100.0, 100.0)) for _ in range(3)]
    for one in processes:
        one["server"]["arms"]["baseline"]["served_ns"] *= 2
    (warning,) = about_the_rates(server_record(5.0, 100.0, processes), has_ratio=True)
    assert warning.startswith("baseline: 50 of 100 queries/s were answered")
