"""Intervals of the median and of the mean: against brute force and scipy.stats, and by simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from pipeline.stats.interval import bootstrap_medians, hierarchical_median_interval, median_interval, t_interval


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


def test_hierarchical_interval_is_deterministic_under_a_seed():
    """The same samples and seed give the same interval to the last bit; another seed a slightly different one."""
    rng = np.random.default_rng(5)
    groups = [rng.normal(size=n) for n in (40, 50, 60)]
    assert hierarchical_median_interval(groups, 1) == hierarchical_median_interval(groups, 1)
    assert hierarchical_median_interval(groups, 1) != hierarchical_median_interval(groups, 2)


def test_hierarchical_interval_sees_variation_between_processes():
    """Groups that are tight but far apart give an interval as wide as their distance."""
    groups = [center + 1e-3 * np.random.default_rng(i).normal(size=50) for i, center in enumerate((0.0, 1.0, 2.0))]
    low, high = hierarchical_median_interval(groups, 0)
    assert low < 0.1
    assert high > 1.9


def test_hierarchical_interval_refuses_empty_groups():
    """No process, or a process without samples, is an error."""
    for groups in ([], [np.array([])]):
        with pytest.raises(ValueError, match="needs samples"):
            hierarchical_median_interval(groups, 0)
