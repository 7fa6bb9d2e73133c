"""Intervals of quantiles: against scipy.stats and by simulated coverage."""

import numpy as np
import pytest
from scipy import special, stats

from pipeline.stats.quantile import clustered_quantile_interval, quantile_interval


@pytest.mark.parametrize(("n", "p"), [(11, 0.5), (64, 0.9), (100, 0.1), (662, 0.99), (7200, 0.999)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_interval_is_that_of_scipys_quantile_test(n, p, confidence):
    """The two order statistics are those that scipy.stats inverts its exact test to."""
    samples = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    expected = stats.quantile_test(samples, p=p).confidence_interval(confidence)
    assert quantile_interval(samples, p, confidence).bounds == (expected.low, expected.high)


@pytest.mark.parametrize(("p", "least"), [(0.5, 6), (0.9, 36), (0.99, 368), (0.999, 3688), (0.01, 368)])
def test_too_few_samples_give_none_and_say_why(p, least):
    """Below the least number, for which not even an extreme bounds the quantile, the bounds are None."""
    assert quantile_interval(np.arange(float(least)), p).bounds is not None
    found = quantile_interval(np.arange(least - 1.0), p)
    assert (found.bounds, found.reason) == (None, f"needs {least} independent samples, has {least - 1}")


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("tail", ["exponential", "pareto"])
def test_interval_covers_the_quantile_of_independent_samples(p, tail):
    """In 94 % or more of 2000 experiments of 500 draws, heavy-tailed ones too."""
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(2000, 500)) if tail == "exponential" else rng.pareto(1.5, size=(2000, 500))
    true = -np.log(1 - p) if tail == "exponential" else (1 - p) ** (-1 / 1.5) - 1
    bounds = np.array([quantile_interval(row, p).bounds for row in draws])
    assert 0.94 < np.mean((bounds[:, 0] <= true) & (true <= bounds[:, 1])) < 0.985


def test_processes_that_are_independent_samples_lose_little():
    """Without anything in common between the samples of a process the interval covers, and is at most twice as wide."""
    rng = np.random.default_rng(1)
    wide, narrow, hits = [], [], 0
    for draws in rng.exponential(size=(500, 6, 300)):
        low, high = clustered_quantile_interval(list(draws), 0.9).bounds
        plain = quantile_interval(draws.ravel(), 0.9).bounds
        wide.append(high - low)
        narrow.append(plain[1] - plain[0])
        hits += low <= -np.log(0.1) <= high
    assert hits / 500 > 0.95
    assert np.mean(narrow) < np.mean(wide) < 2 * np.mean(narrow)


# processes, serial correlation, spread between processes, quantile
HARD = [
    (3, 0.8, 0.0, 0.5),
    (3, 0.0, 0.1, 0.9),
    (6, 0.9, 0.1, 0.5),
    (6, 0.9, 0.1, 0.9),
    (6, 0.0, 0.5, 0.5),
    (12, 0.8, 0.1, 0.99),
]


@pytest.mark.parametrize(("count", "correlation", "spread", "p"), HARD)
def test_interval_covers_where_the_samples_of_a_process_resemble_each_other(count, correlation, spread, p):
    """At most 6.5 % of 400 experiments show an interval without the truth; the naive ones miss far more often.

    Samples are skewed, follow an autoregression within a process, and processes differ by a factor of their own.
    """
    rng = np.random.default_rng(2)
    experiments, samples = 400, 300
    noise = rng.normal(size=(experiments, count, samples))
    for i in range(1, samples):
        noise[..., i] = correlation * noise[..., i - 1] + np.sqrt(1 - correlation**2) * noise[..., i]
    process = spread * rng.normal(size=(experiments, count, 1))
    values = np.log1p(-np.log(special.ndtr(-noise))) + process
    many = np.log1p(rng.exponential(size=1_000_000)) + spread * rng.normal(size=1_000_000)
    true = np.quantile(many, p)
    shown = [clustered_quantile_interval(list(one), p).bounds for one in values]
    naive = [quantile_interval(one.ravel(), p).bounds for one in values]
    missed, naively_missed = (
        np.mean([bounds is not None and not bounds[0] <= true <= bounds[1] for bounds in found])
        for found in (shown, naive)
    )
    assert missed <= 0.065
    assert naively_missed > 0.1


def test_one_slow_process_leaves_the_tail_unknown():
    """If one of six processes holds all of the slowest tenth, nothing bounds p99 from above, which is said."""
    rng = np.random.default_rng(3)
    processes = [rng.normal(1.5 if number == 0 else 1.0, 0.01, 1000) for number in range(6)]
    found = clustered_quantile_interval(processes, 0.99)
    assert found.bounds is None
    assert found.reason.startswith("needs 368 independent samples, the 6000 of these processes count as ")
    assert quantile_interval(np.concatenate(processes), 0.99).bounds is not None


def test_equal_processes_count_every_sample():
    """Where the processes show no difference at all the interval is that of all samples."""
    processes = [np.arange(100.0)] * 4
    assert clustered_quantile_interval(processes, 0.5) == quantile_interval(np.concatenate(processes), 0.5)


def test_impossible_questions_are_refused():
    """One process, an empty one, or a quantile or confidence outside (0, 1) is an error."""
    for processes in ([np.ones(9)], [np.ones(9), np.ones(0)], []):
        with pytest.raises(ValueError, match="two or more"):
            clustered_quantile_interval(processes, 0.5)
    for p, confidence in ((0.0, 0.95), (1.0, 0.95), (0.5, 1.0)):
        with pytest.raises(ValueError, match="no interval"):
            quantile_interval(np.ones(9), p, confidence)
