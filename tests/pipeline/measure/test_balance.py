"""What a core can do at best, and what bounds a layer on it."""

import pytest

from pipeline.measure.balance import Balance, measure_balance
from pipeline.measure.layers import bound

# 100 GFLOP/s; 100 GB/s from a cache of 1 MB, 10 GB/s from memory
BALANCE = Balance(100.0, ((1_000_000, 100.0), (64_000_000, 10.0)))


@pytest.mark.parametrize(("size", "gbps"), [(1, 100.0), (1_000_000, 100.0), (1_000_001, 10.0), (10**12, 10.0)])
def test_bandwidth_is_that_of_the_cache_the_data_fit(size, gbps):
    """Data that fit a measured working set have its bandwidth, larger data that of memory."""
    assert BALANCE.gbps(size) == gbps
    assert BALANCE.peak_gbps == 10.0


@pytest.mark.parametrize(
    ("time_ns", "flops", "traffic", "expected"),
    [
        (120_000, 10_000_000, 1_000_000, "compute"),  # 100 µs of arithmetic, 10 µs of reading
        (120_000, 1_000_000, 10_000_000, "memory"),  # 10 µs of arithmetic, 1 ms of reading
        (3_000, 1_000, 2_000, "overhead"),  # 10 ns and 20 ns: neither explains 3 µs
        (3_000, 0, 0, "overhead"),
        (30_000, 0, 1_000_000, "memory"),
    ],
)
def test_the_slower_limit_bounds_unless_neither_explains_the_time(time_ns, flops, traffic, expected):
    """A layer within four times its slower limit is bound by it, beyond that by overhead."""
    assert bound(time_ns, flops, traffic, traffic, BALANCE) == expected


def test_bandwidth_is_that_of_what_the_whole_network_passes_through():
    """A small layer in a network that fits no cache reads from memory: its 10 kB then explain 1 µs, not 0.1."""
    assert bound(1_000, 0, 10_000, 10_000, BALANCE) == "overhead"
    assert bound(1_000, 0, 10_000, 2_000_000, BALANCE) == "memory"


def test_measured_limits_are_positive_and_recorded():
    """Peak arithmetic and the bandwidths at four sizes are measured, the largest being well beyond the cache."""
    record = measure_balance(cache_bytes=40 * 1024**2).to_json()
    assert record["peak_gflops"] > 0
    sizes = [entry["bytes"] for entry in record["gbps_by_working_set"]]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 80 * 1024**2
    assert all(entry["gbps"] > 0 for entry in record["gbps_by_working_set"])
    assert record["peak_gbps"] == record["gbps_by_working_set"][-1]["gbps"]
