"""What a query is in each scenario, and how long a process looks."""

import pytest

from pipeline.core.experiment import BenchmarkSpec
from pipeline.measure.arm import PERCENTILES
from pipeline.measure.scenario import SCENARIOS, pass_samples, phases_of, samples_per_query
from pipeline.schemas import read_schema
from pipeline.stats.percentile import minimum_samples


def test_the_table_is_the_schemas():
    """An experiment may name the scenarios that can be measured, and no others."""
    node = read_schema("experiment.v1")["$defs"]["benchmark"]["properties"]["scenario"]
    assert node["enum"] == list(SCENARIOS)
    assert BenchmarkSpec().scenario in SCENARIOS


def test_headlines_are_figures_that_exist():
    """Percentiles that are computed, or one of the figures that are none."""
    assert {scenario.headline for scenario in SCENARIOS.values()} <= {*PERCENTILES, "throughput", "rate", "decode"}


@pytest.mark.parametrize(
    ("name", "batch_size", "samples"),
    [
        ("single_stream", 1, 1),
        ("single_stream", 32, 32),
        ("multi_stream", 1, 8),
        ("multi_stream", 32, 8),
        ("offline", 16, 16),
        ("server", 16, 1),
    ],
)
def test_samples_of_a_query_are_mlperfs(name, batch_size, samples):
    """A call, 8 samples, or one; offline chooses more than the call it starts from."""
    assert samples_per_query(name, batch_size) == samples


@pytest.mark.parametrize(
    ("batch_size", "call_ns", "sample_bytes", "samples"),
    [
        (1, 50_000, 256, 64),  # 100 calls would be 5 ms: the power of two below
        (16, 50_000, 256, 1024),
        (1, 6_000_000, 256, 1),  # one call is longer
        (4096, 1_000, 3136, 4096),  # no more than one call fits into the pool
        (1, 10, 256, 16_384),  # so many samples are a quarter of the pool
    ],
)
def test_a_pass_is_about_five_milliseconds(batch_size, call_ns, sample_bytes, samples):
    """In whole calls, and small enough that several passes fit into memory."""
    assert pass_samples(batch_size, call_ns, sample_bytes) == samples


def test_processes_together_see_enough_queries_for_p99():
    """Within the budget of each; what is not asked for p99 keeps the usual phases."""
    for processes in (2, 6, 30):
        phases = phases_of("multi_stream", processes, 20.0)
        assert processes * phases.tail_least >= minimum_samples(0.99)
        assert 0.3 <= phases.latency_s <= 2.0
    assert phases_of("single_stream", 6, 20.0).tail_least == 0
