"""From worker results to the record of a comparison, on made-up results."""

import numpy as np
import pytest

from pipeline.measure.job import ARMS
from pipeline.measure.summary import Question, comparison, measured_under, raw_arrays, speedup_and_control, unsettled
from pipeline.stats.compare import Ratio

QUESTION = Question("single_stream", 2, 1, 6, target_ci=0.05, budget_s=10.0, threshold=0.02, seed=0)
MEMORY = {arm: {"peak_rss_bytes": 1000, "how": "VmHWM"} for arm in ("baseline", "optimized")}


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
        "cold_ns": [500_000, 400_000, 500_000],
        "order": [[0, 1, 2]] * rows,
        "wall_ns": wall.astype(int).tolist(),
        "cpu_ns": cpu.astype(int).tolist(),
        "tail_ns": (100_000 * np.exp(rng.exponential(0.1, (3, 20)))).astype(int).tolist(),
        "is_cpu_time_fine": True,
        "conditions": {"pinned": [1], "hash_seed": str(number)},
    }


def compared(processes, question=QUESTION, busy=None):
    return comparison(question, processes, busy or [0.0] * len(processes), MEMORY)


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
        *("cold_ns", "throughput_per_s", "peak_rss_bytes", "peak_rss_method", "peak_rss_reason"),
    }


def test_times_are_of_one_call_without_the_empty_loop():
    """A sample's time is divided by its calls after the loop's own cost is taken off; throughput counts the batch."""
    arm = compared([process(n) for n in range(6)])["arms"]["baseline"]
    assert arm["median_ns"] == pytest.approx((300_000 - 300) / 3, rel=0.005)
    assert arm["throughput_per_s"] == pytest.approx(2e9 / arm["median_ns"])
    assert arm["interval_ns"][0] <= arm["median_ns"] <= arm["interval_ns"][1]
    assert (arm["n"], arm["cold_ns"], arm["peak_rss_bytes"], arm["peak_rss_reason"]) == (360, 500_000, 1000, None)


def test_percentiles_without_enough_calls_are_none_with_the_reason():
    """120 single calls support p50 and p90, but not p99."""
    arm = compared([process(n) for n in range(6)])["arms"]["optimized"]
    assert arm["tail_n"] == 120
    assert arm["percentiles"]["p50"] < arm["percentiles"]["p90"]
    assert (arm["percentiles"]["p99"], arm["percentiles"]["p99.9"]) == (None, None)
    assert arm["percentile_reasons"]["p99"] == "needs 662 samples, has 120"


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
    assert record["warnings"] == ["120 of 360 pairs were dropped because a sample was preempted"]


def test_nothing_is_claimed_when_nearly_all_pairs_were_preempted():
    """With too few undisturbed pairs all are used, which is said, and the verdict is noisy."""
    record = compared([process(n, preempted=57) for n in range(6)])
    assert (record["verdict"], record["noisy"], record["pairs"]) == ("noisy", True, 360)
    assert any("fewer than 6 undisturbed pairs" in text for text in record["warnings"])


def test_identical_code_that_differs_makes_the_comparison_noisy():
    """If the second copy of the baseline seems 10 % faster, no speed-up is claimed."""
    record = compared([process(n, control=1.1) for n in range(6)])
    assert (record["verdict"], record["noisy"]) == ("noisy", True)
    assert record["warnings"][0].startswith("identical code differed by 10.0%")


def test_a_small_difference_of_the_control_is_a_warning():
    """A control that excludes 1 by less than the threshold is said, and does not hide a clear speed-up."""
    record = compared([process(n, control=1.01) for n in range(6)])
    assert (record["verdict"], record["noisy"]) == ("faster", False)
    assert any("its interval excludes 1" in text for text in record["warnings"])


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
        result["conditions"] = {"pinned": None}
    record = compared(results, busy=[0.9, None, 0.0, 0.0, 0.0, 0.0])
    text = "\n".join(record["warnings"])
    assert record["steady_state"] == "not_reached"
    assert "wider than the target of ±5.0%" in text
    assert "2 of 6 processes did not become steady" in text
    assert "before 1 of 6 processes others used more than 25% of the core" in text
    assert "not bound to cores" in text


def test_threads_switch_the_filter_off_and_say_so():
    """With several threads the caller's CPU time says nothing: no pair is dropped."""
    question = Question("offline", 2, 2, 6, 0.05, 10.0, 0.02, 0)
    record = compared([process(n, preempted=20) for n in range(6)], question)
    assert (record["pairs"], record["dropped"]) == (360, 0)
    assert "preempted samples could not be told from others: work is done by several threads" in record["warnings"]


def test_raw_samples_reproduce_the_estimate():
    """The arrays hold every sample with its flag, enough to compute the published ratio again."""
    results = [process(n, preempted=5) for n in range(3)]
    arrays = raw_arrays(0, QUESTION, results)
    assert len(arrays) == 3 * (1 + 3 * 4)
    medians = []
    for number in range(3):
        base, other = (f"0.{arm}.{number}" for arm in ("baseline", "optimized"))
        kept = (arrays[f"{base}.kept"] & arrays[f"{other}.kept"]).astype(bool)
        times = [arrays[f"{name}.wall_ns"][kept] - 300 for name in (base, other)]
        medians.append(np.median(np.log(times[0] / times[1])))
    speedup, _ = speedup_and_control(QUESTION, results)
    assert speedup.estimate == pytest.approx(np.exp(np.median(medians)))


def test_conditions_are_recorded_by_process():
    """Copies, hash seeds, cores and the load before each process are kept in the order they ran."""
    record = measured_under([process(n) for n in range(2)], [0.1, None])
    assert record["copies"] == 4
    assert record["hash_seeds"] == ["0", "1"]
    assert record["pinned"] == [[1], [1]]
    assert record["busy_before"] == [0.1, None]
