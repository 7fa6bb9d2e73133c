"""Intervals of the median and of the mean: against brute force and scipy.stats, and by simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from pipeline.stats.interval import (
    bootstrap_locations,
    bootstrap_medians,
    hierarchical_interval,
    location,
    median_interval,
    t_interval,
)


@pytest.mark.parametrize("n", [6, 7, 20, 101])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_median_interval_is_the_narrowest_symmetric_pair(n, confidence):
    """Of all pairs of ranks (k, n+1-k) that cover the median with the confidence, the innermost is taken."""
    ranks = [k for k in range(1, n // 2 + 1) if 1 - 2 * stats.binom.cdf(k - 1, n, 0.5) >= confidence]
    samples = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert median_interval(samples, confidence) == (ranks[-1], n + 1 - ranks[-1])


def test_median_interval_needs_six_samples_for_95_percent():
    """With five samples even the extremes cover only 93.75 %, so there is no interval."""
    assert median_interval(np.arange(5.0)) is None
    assert median_interval(np.arange(6.0)) == (0.0, 5.0)


def test_median_interval_covers_the_median_of_a_skewed_distribution():
    """In 95 % or more of simulated experiments the interval holds the true median."""
    samples = np.random.default_rng(2).exponential(size=(2000, 25))
    intervals = np.array([median_interval(row) for row in samples])
    covered = np.mean((intervals[:, 0] <= np.log(2)) & (np.log(2) <= intervals[:, 1]))
    assert 0.94 < covered < 0.98


def test_t_interval_agrees_with_scipy():
    """The t interval is that of scipy.stats, and one value has none."""
    values = np.array([1.0, 1.2, 0.9, 1.4])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two or more"):
        t_interval(values[:1])


def autocorrelated(rng, n, rho):
    noise = rng.normal(size=n)
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def test_block_bootstrap_widens_for_serial_correlation():
    """Resampling blocks sees that correlated samples say less: its spread is near the true one, not the naive one."""
    rng = np.random.default_rng(3)
    series = [autocorrelated(rng, 400, 0.7) for _ in range(60)]
    true = np.std([np.median(s) for s in series])
    blocks = np.mean([np.std(bootstrap_medians(s, 200, rng)) for s in series])
    naive = np.sqrt(np.pi / 2 / 400)
    assert naive < 0.7 * blocks
    assert 0.6 * true < blocks < 1.3 * true


def test_block_bootstrap_of_independent_samples_has_the_textbook_spread():
    """For independent normal samples the spread of the resampled median is near sqrt(pi / 2n)."""
    rng = np.random.default_rng(4)
    spread = np.mean([np.std(bootstrap_medians(rng.normal(size=300), 300, rng)) for _ in range(30)])
    assert spread == pytest.approx(np.sqrt(np.pi / 2 / 300), rel=0.15)


def test_location_is_the_mean_of_the_medians_of_groups():
    """An outlier in a group does not move it, and every group weighs the same however large it is."""
    assert location([np.array([1.0, 2.0, 99.0]), np.array([4.0])]) == 3.0


def test_location_is_more_precise_than_the_median_of_all_where_groups_differ():
    """For 32 normal groups the mean of medians has about 0.8 (the root of 2/pi) of the spread of the pooled median."""
    rng = np.random.default_rng(6)
    trials = [[rng.normal() + 0.3 * rng.normal(size=12) for _ in range(32)] for _ in range(300)]
    spread = np.std([location(groups) for groups in trials])
    assert spread < 0.87 * np.std([np.median(np.concatenate(groups)) for groups in trials])


@pytest.mark.parametrize("count", [1, 32])
def test_resampled_locations_have_the_spread_of_locations(count):
    """Few groups are resampled within, many as a whole: both show how far a location is from the truth."""
    rng = np.random.default_rng(7)
    drawn = [[rng.normal(0, 0.1, 60) for _ in range(count)] for _ in range(100)]
    true = np.std([location(groups) for groups in drawn])
    found = np.mean([np.std(bootstrap_locations(groups, 200, rng)) for groups in drawn])
    assert found == pytest.approx(true, rel=0.25)


def test_hierarchical_interval_is_deterministic_under_a_seed():
    """The same samples and seed give the same interval to the last bit; another seed a slightly different one."""
    rng = np.random.default_rng(5)
    processes = [[rng.normal(size=n)] for n in (40, 50, 60)]
    assert hierarchical_interval(processes, 1) == hierarchical_interval(processes, 1)
    assert hierarchical_interval(processes, 1) != hierarchical_interval(processes, 2)


def test_hierarchical_interval_sees_variation_between_processes():
    """Processes that are tight but far apart give an interval as wide as their distance."""
    processes = [[center + 1e-3 * np.random.default_rng(i).normal(size=50)] for i, center in enumerate((0.0, 1.0, 2.0))]
    low, high = hierarchical_interval(processes, 0)
    assert low < 0.1
    assert high > 1.9


def test_hierarchical_interval_sees_variation_between_groups():
    """Equal processes of groups that are far apart give an interval that says so."""
    groups = [np.full(10, center) for center in np.linspace(-1, 1, 16)]
    low, high = hierarchical_interval([groups] * 4, 0)
    assert low < -0.1
    assert high > 0.1


def test_hierarchical_interval_refuses_empty_groups():
    """No process, a process without groups, or a group without samples is an error."""
    for processes in ([], [[]], [[np.array([])]], [[np.ones(3)], [np.ones(3), np.array([])]]):
        with pytest.raises(ValueError, match="needs samples"):
            hierarchical_interval(processes, 0)


@pytest.mark.parametrize("seed", range(20))
def test_location_is_the_mean_of_what_numpy_calls_the_medians(seed):
    """To the last bit, for groups of any sizes."""
    rng = np.random.default_rng(seed)
    groups = [rng.lognormal(size=rng.integers(1, 9)) for _ in range(rng.integers(1, 40))]
    assert location(groups) == float(np.mean([np.median(group) for group in groups]))
