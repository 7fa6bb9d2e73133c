"""Percentiles under MLPerf's early-stopping rule."""

import json

import numpy as np
import pytest
from scipy import stats

from pipeline.stats.percentile import (
    early_stopping_estimate,
    limit_status,
    minimum_passing,
    minimum_samples,
    percentile,
)
from tests.golden import early_stopping


@pytest.mark.parametrize(("p", "expected"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)])
def test_minimum_samples_are_mlperfs(p, expected):
    """The least numbers of samples are those that MLPerf's rules print."""
    assert minimum_samples(p) == expected


def test_minimum_passing_is_the_golden_table():
    """All 606 entries equal the file, which binomial sums with 60 digits computed.

    They also equal what LoadGen itself finds: its MinPassingQueriesFinder (mlcommons/inference at b66003e1,
    loadgen/early_stopping.cc), compiled and asked with d = 0 and c = 0.99, gave the same 606 numbers.
    """
    table = json.loads(early_stopping.FILE.read_text())
    ours = {p: [minimum_passing(over, float(p)) for over in range(101)] for p in early_stopping.PERCENTILES}
    assert ours == table


def test_the_golden_table_is_what_its_generator_computes():
    """The committed file is the output of `python -m tests.golden`."""
    assert early_stopping.FILE.read_text() == early_stopping.as_text(early_stopping.early_stopping())


@pytest.mark.parametrize("p", [0.5, 0.9, 0.97, 0.99])
@pytest.mark.parametrize("over", [0, 1, 2, 10, 100])
def test_minimum_passing_is_the_first_that_the_binomial_allows(p, over):
    """With h queries within the limit so few over it are unlikely enough, and with h - 1 they are not."""
    h = minimum_passing(over, p)
    assert stats.binom.cdf(over, h + over, 1 - p) <= 0.01
    assert h == 1 or stats.binom.cdf(over, h - 1 + over, 1 - p) > 0.01


def test_too_few_samples_give_none_and_say_why():
    """A percentile without enough samples is None with the two counts."""
    found = percentile(np.arange(400.0), 0.99)
    assert found.value is None
    assert found.reason == "needs 662 samples, has 400"
    assert early_stopping_estimate(np.arange(400.0), 0.99) == found


@pytest.mark.parametrize(("p", "expected"), [(0.5, 500), (0.9, 900), (0.99, 990)])
def test_percentile_is_the_nearest_rank(p, expected):
    """The value is the smallest sample that the share p does not exceed."""
    samples = np.random.default_rng(0).permutation(np.arange(1.0, 1001))
    assert percentile(samples, p).value == expected


def test_early_stopping_estimate_discards_as_many_as_the_rule_allows():
    """The estimate is the t-th largest sample with the largest t that n samples support, found by trying all."""
    n, p = 300, 0.9
    t = max(t for t in range(1, 60) if minimum_passing(t, p) + t <= n)
    samples = np.random.default_rng(1).permutation(np.arange(1.0, n + 1))
    assert early_stopping_estimate(samples, p).value == n + 1 - t


def test_early_stopping_estimate_is_beyond_the_percentile_99_times_in_100():
    """The true percentile of a skewed distribution exceeds the estimate in about 1 % of simulated runs."""
    samples = np.random.default_rng(2).exponential(size=(2000, 200))
    true = -np.log(0.1)
    below = np.mean([early_stopping_estimate(row, 0.9).value < true for row in samples])
    assert 0.001 <= below <= 0.015


def test_impossible_questions_are_refused():
    """p and confidence outside (0, 1) raise instead of searching without end."""
    for arguments in [(1, 1.0), (1, 0.0), (-1, 0.5)]:
        with pytest.raises(ValueError, match="no early stopping"):
            minimum_passing(*arguments)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("queries", [20, 700, 5_000])
def test_a_limit_is_met_or_not_where_the_binomial_distribution_says_so(p, queries):
    """met: few over the limit have a chance of 1 % if it is just missed; not_met: so many, if it is just kept."""
    for over in sorted({0, 1, 2, round(queries * (1 - p) / 2), round(queries * (1 - p)), round(queries * (1 - p) * 2)}):
        few, many = stats.binom.cdf(over, queries, 1 - p), stats.binom.sf(over - 1, queries, 1 - p)
        expected = "met" if few <= 0.01 else "not_met" if many <= 0.01 else "inconclusive"
        assert limit_status(queries, over, p) == expected


def test_a_limit_is_decided_either_way_with_the_promised_confidence():
    """A server that just keeps or just misses its limit is called otherwise in about 1 % of simulated runs."""
    over = np.random.default_rng(0).binomial(2_000, 0.01, 4_000)
    found = [limit_status(2_000, int(count), 0.99) for count in over]
    assert found.count("met") / len(found) <= 0.013
    assert found.count("not_met") / len(found) <= 0.013


def test_no_queries_decide_nothing():
    """And more queries over the limit than there were are a mistake of the caller."""
    assert limit_status(0, 0, 0.99) == "inconclusive"
    with pytest.raises(ValueError, match="5 of 4 queries"):
        limit_status(4, 5, 0.99)
