"""From worker results to the record of a comparison, on made-up results."""

import dataclasses

import numpy as np
import pytest

from pipeline.measure.job import ARMS
from pipeline.measure.summary import Question, comparison, measured_under, raw_arrays, speedup_and_control, unsettled
from pipeline.stats.compare import Ratio

QUESTION = Question(
    "single_stream", 2, 1, 6, target_ci=0.05, budget_s=10.0, threshold=0.02, seed=0, samples_per_query=2
)
QUIET = {"elapsed_s": 1.0, "others": 0.0, "stolen": 0.0, "paused": None, "pauses": None}
MEMORY = {arm: {"peak_rss_bytes": 1000, "how": "VmHWM"} for arm in ("baseline", "optimized")}
QUANTITIES = {arm: {"quantities": {"energy_j": None}, "quantity_reasons": {"energy_j": "no meter"}} for arm in ARMS}


def process(number, speedup=2.0, control=1.0, rows=60, preempted=0):
    """Return what a worker would: 300 µs samples of three calls with 0.5 % noise; the first rows may be preempted."""
    rng = np.random.default_rng(number)
    wall = 300_000 * np.exp(rng.normal(0, 0.005, (rows, 3))) / np.array([1.0, speedup, control])
    cpu = wall.copy()
    wall[:preempted] += 1_000_000
    return {
        "copies": 4,
        "loops": 3,
        "empty_ns": 300,
        "windows": 2,
        "steady": True,
        "first": ("baseline", "optimized", "control")[number % 3],
        "cold_ns": (500_000, 400_000, 600_000)[number % 3],
        "order": [[0, 1, 2]] * rows,
        "copy": [row % 4 for row in range(rows)],
        "wall_ns": wall.astype(int).tolist(),
        "cpu_ns": cpu.astype(int).tolist(),
        "tail_ns": (100_000 * np.exp(rng.exponential(0.1, (3, 20)))).astype(int).tolist(),
        "is_cpu_time_fine": True,
        "conditions": {"pinned": [1], "hash_seed": str(number), "quota": None, "gauges": QUIET},
    }


def compared(processes, question=QUESTION, busy=None):
    return comparison(question, processes, busy or [0.0] * len(processes), MEMORY, QUANTITIES)


def test_a_clear_speedup_is_faster():
    """A true factor of two is estimated within its interval and called faster, without warnings."""
    record = compared([process(n) for n in range(6)])
    low, high = record["speedup"]["interval"]
    assert low <= 2.0 <= high
    assert (record["verdict"], record["noisy"], record["warnings"]) == ("faster", False, [])
    assert (record["processes"], record["pairs"], record["dropped"], record["loops"]) == (6, 360, 0, 3)
    assert record["steady_state"] == "reached"


def test_the_record_has_the_contracts_shape():
    """Keys are those that the submission's schema lists, and every value is JSON."""
    record = compared([process(n) for n in range(6)])
    assert list(record["arms"]) == list(ARMS)
    assert set(record["arms"]["control"]) == {
        *("n", "median_ns", "mean_ns", "std_ns", "interval_ns", "tail_n", "percentiles", "percentile_reasons"),
        *("percentile_intervals", "percentile_interval_reasons", "quantities", "quantity_reasons"),
        *(
            "cold_ns",
            "throughput_per_s",
            "throughput_interval_per_s",
            "peak_rss_bytes",
            "peak_rss_method",
            "peak_rss_reason",
        ),
    }


def test_times_are_of_one_call_without_the_empty_loop():
    """A sample's time is divided by its calls after the loop's own cost is taken off; throughput is the mean's."""
    arm = compared([process(n) for n in range(6)])["arms"]["baseline"]
    assert arm["median_ns"] == pytest.approx((300_000 - 300) / 3, rel=0.005)
    assert arm["throughput_per_s"] == pytest.approx(2e9 / arm["mean_ns"])
    assert arm["interval_ns"][0] <= arm["median_ns"] <= arm["interval_ns"][1]
    assert (arm["n"], arm["peak_rss_bytes"], arm["peak_rss_reason"]) == (360, 1000, None)


def test_the_first_call_is_that_of_processes_in_which_the_model_went_first():
    """Calls after another model's are not cold; baseline and control are the same stored model."""
    arms = compared([process(n) for n in range(6)])["arms"]
    assert [arms[arm]["cold_ns"] for arm in ARMS] == [550_000, 400_000, 550_000]


def test_percentiles_without_enough_calls_are_none_with_the_reason():
    """120 single calls support p50 and p90, but not p99."""
    arm = compared([process(n) for n in range(6)])["arms"]["optimized"]
    assert arm["tail_n"] == 120
    assert arm["percentiles"]["p50"] < arm["percentiles"]["p90"]
    assert (arm["percentiles"]["p99"], arm["percentiles"]["p99.9"]) == (None, None)
    assert arm["percentile_reasons"]["p99"] == "needs 662 samples, has 120"


def test_percentiles_have_intervals_that_count_processes():
    """Each percentile that is there lies within its interval; one that single samples cannot bound says why."""
    results = [process(n) for n in range(6)]
    for result in results:
        result["tail_ns"] = np.repeat(np.array(result["tail_ns"]), 40, axis=1).tolist()
    arm = compared(results)["arms"]["baseline"]
    for name in ("p50", "p90"):
        low, high = arm["percentile_intervals"][name]
        assert low <= arm["percentiles"][name] <= high
    assert arm["percentile_intervals"]["p99"] is None
    assert arm["percentile_interval_reasons"]["p99"].startswith("needs 368 independent samples, the 4800 of these")
    assert "p99.9" not in arm["percentile_intervals"]


def test_the_controls_memory_is_none_with_the_reason():
    """Only two models were measured; the control's memory is not made up."""
    arm = compared([process(n) for n in range(6)])["arms"]["control"]
    assert arm["peak_rss_bytes"] is None
    assert arm["peak_rss_reason"] == "the same stored model as the baseline"


def test_preempted_pairs_are_dropped_and_counted():
    """Samples with 1 ms of another's time in them do not count, and a large share is warned about."""
    record = compared([process(n, preempted=20) for n in range(6)])
    assert (record["pairs"], record["dropped"]) == (240, 120)
    assert record["speedup"]["estimate"] == pytest.approx(2.0, rel=0.01)
    assert record["warnings"] == ["120 of 360 pairs were dropped because another program interrupted a sample"]


def test_nothing_is_claimed_when_nearly_all_pairs_were_preempted():
    """With too few undisturbed pairs all are used, which is said, and the verdict is noisy."""
    record = compared([process(n, preempted=57) for n in range(6)])
    assert (record["verdict"], record["noisy"]) == ("noisy", True)
    assert (record["pairs"], record["dropped"]) == (360, 0)
    assert record["warnings"] == [
        "in 6 of 6 processes other programs interrupted nearly all pairs; all were taken, nothing can be claimed"
    ]


def test_one_preempted_row_of_a_slow_model_is_dropped_like_any_other():
    """A process with time for six rows only is not given up for one of them."""
    record = compared([process(n, rows=6, preempted=1) for n in range(6)])
    assert (record["noisy"], record["pairs"], record["dropped"]) == (False, 30, 6)


def test_identical_code_that_differs_makes_the_comparison_noisy():
    """If the second copy of the baseline seems 10 % faster, no speed-up is claimed."""
    record = compared([process(n, control=1.1) for n in range(6)])
    assert (record["verdict"], record["noisy"]) == ("noisy", True)
    assert record["warnings"][0].startswith("identical code differed by 10.0%")


def test_a_small_difference_of_the_control_is_left_room_for():
    """A control that excludes 1 by less than the threshold widens the interval by as much, which is said."""
    record, plain = (compared([process(n, control=control) for n in range(6)]) for control in (1.01, 1.0))
    off = record["control"]["estimate"]
    assert off == pytest.approx(1.01, rel=0.005)
    low, high = plain["speedup"]["interval"]
    assert record["speedup"]["interval"] == pytest.approx([low / off, high * off])
    assert record["speedup"]["method"].endswith("widened by the control")
    assert (record["verdict"], record["noisy"]) == ("faster", False)
    assert any("its interval excludes 1" in text for text in record["warnings"])


def test_a_claim_within_what_identical_code_differed_by_is_not_made():
    """A speed-up of 3 % beside a control that is certainly off by 1.5 % is inconclusive, beside a quiet one faster."""
    verdicts = [
        compared([process(n, speedup=1.03, control=control) for n in range(6)])["verdict"] for control in (1.0, 1.015)
    ]
    assert verdicts == ["faster", "inconclusive"]


@pytest.mark.parametrize(
    ("estimate", "interval", "expected"),
    [(1.05, (1.03, 1.07), True), (0.95, (0.93, 0.97), True), (1.01, (1.005, 1.015), False), (1.05, (0.9, 1.2), False)],
)
def test_unsettled_needs_a_certain_and_large_difference(estimate, interval, expected):
    """The control disqualifies if its interval excludes 1 and it is off by more than the threshold."""
    assert unsettled(Ratio(estimate, interval, 0.95, (estimate,) * 3), 0.02) is expected


def test_equal_arms_are_equivalent():
    """A model against itself with half a percent of noise is equivalent."""
    record = compared([process(n, speedup=1.0) for n in range(6)])
    assert record["verdict"] == "equivalent"


def test_circumstances_are_warned_about():
    """A wide interval, a restless warm-up, a busy core and unbound processes are named with their numbers."""
    results = [process(n, speedup=1.0 + 0.1 * n) for n in range(6)]
    for result in results[:2]:
        result["steady"] = False
    for result in results:
        result["conditions"] = {"pinned": None, "quota": None, "gauges": QUIET}
    record = compared(results, busy=[0.9, None, 0.0, 0.0, 0.0, 0.0])
    text = "\n".join(record["warnings"])
    assert record["steady_state"] == "not_reached"
    assert "not ±5.0%, after 6 processes; a larger budget_s than 10 helps" in text
    assert "in 2 of 6 processes times were still changing when the warm-up ended" in text
    assert "before 1 of 6 processes other programs used more than 25% of the core" in text
    assert "could not be bound to cores" in text


def test_processes_that_did_not_fit_into_the_budget_are_said():
    """Three processes where six were asked for are named, even if the interval is narrow."""
    record = compared([process(n) for n in range(3)])
    assert record["warnings"] == ["the budget of 10 s was spent after 3 of 6 processes"]


def test_latencies_that_differ_between_processes_are_said():
    """A core that runs at half its speed in one process changes no ratio, and the latencies are labelled."""
    for slower, text in [(2, "99.8 µs to 200 µs"), (100, "99.8 µs to 9.99 ms")]:
        results = [process(n) for n in range(6)]
        for name in ("wall_ns", "cpu_ns"):
            results[2][name] = (slower * np.array(results[2][name])).tolist()
        record = compared(results)
        assert record["speedup"]["estimate"] == pytest.approx(2.0, rel=0.005)
        assert [warning.partition(" in different")[0] for warning in record["warnings"]] == [
            f"a query of the baseline took {text}"
        ]


def test_a_quota_below_the_threads_is_said():
    """A container that may use half a core is paused again and again; one with two is not."""
    results = [process(n) for n in range(6)]
    for quota, warnings in [(0.5, 1), (2.0, 0)]:
        for result in results:
            result["conditions"]["quota"] = quota
        assert len(compared(results)["warnings"]) == warnings


def test_loops_may_differ_between_processes():
    """Each process calibrates for itself; times are of one call, and the record names the fewest loops."""
    results = [process(n) for n in range(6)]
    results[1] |= {
        "loops": 6,
        "wall_ns": (2 * np.array(results[1]["wall_ns"])).tolist(),
        "cpu_ns": (2 * np.array(results[1]["cpu_ns"])).tolist(),
    }
    record = compared(results)
    assert (record["loops"], record["warnings"]) == (3, [])
    assert record["arms"]["baseline"]["median_ns"] == pytest.approx(100_000, rel=0.005)


def test_threads_switch_the_filter_off_and_say_so():
    """With several threads the caller's CPU time says nothing: no pair is dropped."""
    question = Question("offline", 2, 2, 6, 0.05, 10.0, 0.02, 0)
    record = compared([process(n, preempted=20) for n in range(6)], question)
    assert (record["pairs"], record["dropped"]) == (360, 0)
    assert "interrupted samples could not be told from others: several threads do the work" in record["warnings"]


@pytest.mark.parametrize(("others", "noisy"), [(0.01, False), (0.3, True)])
def test_a_server_beside_other_programs_is_noisy(others, noisy):
    """Its queries wait for whatever interrupts it, so that no sample is dropped for it."""
    question = dataclasses.replace(QUESTION, scenario="server", latency_limit_ms=5.0)
    arm = {"latency_ns": [1_000_000] * 100, "served_ns": 10**9, "most_per_s": 300.0, "trials": 9, "reason": None}
    results = [process(n) for n in range(6)]
    for n, result in enumerate(results):
        rates = dict(zip(ARMS, (100.0 + 0.1 * n, 200.0, 100.0 - 0.1 * n), strict=True))
        result["server"] = {"queries": 2000, "arms": {name: {**arm, "rate_per_s": rates[name]} for name in ARMS}}
        result["conditions"]["gauges"] = {**QUIET, "others": others}
    record = compared(results, question)
    assert (record["noisy"], record["verdict"]) == (noisy, "noisy" if noisy else "faster")
    assert any("unseen by the filter" in text for text in record["warnings"]) == noisy


def test_raw_samples_reproduce_the_estimate():
    """The arrays hold every sample with its flag, enough to compute the published ratio again."""
    results = [process(n, preempted=5) for n in range(3)]
    arrays = raw_arrays(0, QUESTION, results)
    assert len(arrays) == 3 * (2 + 3 * 4)
    estimates = []
    for number in range(3):
        base, other = (f"0.{arm}.{number}" for arm in ("baseline", "optimized"))
        kept = (arrays[f"{base}.kept"] & arrays[f"{other}.kept"]).astype(bool)
        times = [arrays[f"{name}.wall_ns"][kept] - 300 for name in (base, other)]
        logs, copy = np.log(times[0] / times[1]), arrays[f"0.copy.{number}"][kept]
        estimates.append(np.mean([np.median(logs[copy == one]) for one in range(4)]))
    speedup, _ = speedup_and_control(QUESTION, results)
    assert speedup.estimate == pytest.approx(np.exp(np.median(estimates)))


def test_conditions_are_recorded_by_process():
    """Copies, hash seeds, cores and the load before each process are kept in the order they ran."""
    record = measured_under(QUESTION, [process(n) for n in range(2)], [0.1, None])
    assert record["copies"] == [4, 4]
    assert record["loops"] == [3, 3]
    assert record["hash_seeds"] == ["0", "1"]
    assert record["pinned"] == [[1], [1]]
    assert record["busy_before"] == [0.1, None]
    assert record["gauges"] == [QUIET, QUIET]


def served(number, rates, **changes):
    """Return what a server's process would: rates by arm, and latencies of 1 ms."""
    found = process(number, **changes)
    arms = {
        arm: {
            "rate_per_s": rate,
            "reason": None if rate else "no rate met the limit",
            "trials": 8,
            "over": 0,
            "latency_ns": [1_000_000] * 700 if rate else [],
            "served_ns": 1_000_000_000,
            "call_ns": 1e5,
            "most_per_s": 9e3,
        }
        for arm, rate in zip(ARMS, rates, strict=True)
    }
    return {**found, "server": {"queries": 700, "arms": arms}}


SERVER = dataclasses.replace(QUESTION, scenario="server", samples_per_query=1, latency_limit_ms=5.0)


def test_a_servers_speedup_is_that_of_rates():
    """Calls take half the time, and the limit lets three times the rate pass: the latter is the speed-up."""
    record = compared([served(n, (1_000 + n, 3_000 + 3 * n, 1_000 + n)) for n in range(6)], SERVER)
    assert record["speedup"]["estimate"] == pytest.approx(3.0)
    assert (record["verdict"], record["samples_per_query"]) == ("faster", 1)
    arm = record["arms"]["optimized"]
    assert arm["median_ns"] == pytest.approx(50_000, rel=0.01)
    assert (arm["tail_n"], arm["percentiles"]["p99"]) == (4_200, 1e6)
    assert record["server"]["arms"]["optimized"]["rate_per_s"] == 3_007.5


def test_a_servers_control_decides_about_noise():
    """A second copy of the baseline that keeps a tenth more is no quiet machine."""
    record = compared([served(n, (1_000, 3_000, 1_100)) for n in range(6)], SERVER)
    assert record["noisy"]


def test_a_server_without_rates_is_compared_by_its_calls():
    """The record says so in the speed-up's method, in a warning and in the reason."""
    record = compared([served(n, (None, 3_000, None)) for n in range(6)], SERVER)
    assert record["speedup"]["estimate"] == pytest.approx(2.0, rel=0.01)
    assert record["speedup"]["method"].startswith("median of paired log ratios")
    assert record["server"]["arms"]["baseline"]["rate_per_s"] is None
    assert any("is that of calls one after the other" in text for text in record["warnings"])
    arm = record["arms"]["baseline"]
    assert set(arm["percentile_reasons"].values()) == {record["server"]["arms"]["baseline"]["rate_per_s_reason"]}


def test_latencies_of_the_few_processes_with_a_rate_are_not_shown():
    """Where most processes found no rate there is none, and no latency at it; raw samples stay."""
    results = [served(n, (1_000 if n == 0 else None, 3_000, 1_000)) for n in range(3)]
    record = compared(results, SERVER)
    arm = record["server"]["arms"]["baseline"]
    assert (arm["queries"], arm["limit_status"], arm["p99_ns"], arm["achieved_per_s"]) == (
        0,
        "inconclusive",
        None,
        None,
    )
    assert record["arms"]["baseline"]["percentiles"]["p50"] is None
    assert len(raw_arrays(0, SERVER, results)["0.baseline.0.tail_ns"]) == 700


def test_a_server_keeps_every_latency():
    """The raw arrays of an arm's tail are its latencies under load."""
    results = [served(n, (1_000, 3_000, None)) for n in range(2)]
    arrays = raw_arrays(0, SERVER, results)
    assert arrays["0.optimized.1.tail_ns"].tolist() == [1_000_000] * 700
    assert len(arrays["0.control.0.tail_ns"]) == 0
    assert compared(results, SERVER)["arms"]["control"]["percentiles"]["p50"] is None


def test_offline_has_a_throughput_and_no_percentiles():
    """Every percentile is null with one reason, and the throughput has an interval."""
    question = dataclasses.replace(QUESTION, scenario="offline", samples_per_query=128)
    arm = compared([process(n) for n in range(6)], question)["arms"]["baseline"]
    assert (set(arm["percentiles"].values()), arm["tail_n"], arm["percentile_intervals"]) == ({None}, 0, {})
    assert arm["percentiles"].keys() == arm["percentile_reasons"].keys()
    low, high = arm["throughput_interval_per_s"]
    assert arm["throughput_per_s"] == pytest.approx(128e9 / arm["mean_ns"])
    assert low <= arm["throughput_per_s"] <= high
    assert high / low < 1.01


def test_calls_larger_than_a_query_are_said():
    """A batch size of 32 means calls of 8 where queries have 8 samples."""
    question = dataclasses.replace(QUESTION, scenario="multi_stream", batch_size=32, samples_per_query=8)
    record = compared([process(n) for n in range(6)], question)
    assert (record["batch_size"], record["samples_per_query"], question.call_size) == (32, 8, 8)
    assert record["warnings"] == ["a query has 8 samples: calls are of 8, not 32"]
