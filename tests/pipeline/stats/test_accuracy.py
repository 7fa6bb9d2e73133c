"""Wilson's interval of an accuracy, and McNemar's test, against scipy.stats and by simulation."""

import numpy as np
import pytest
from scipy import stats

from pipeline.stats.accuracy import mcnemar, wilson_interval


@pytest.mark.parametrize(("correct", "evaluated"), [(0, 1), (0, 50), (350, 360), (7, 9), (360, 360)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_agrees_with_scipy(correct, evaluated, confidence):
    """The interval is the one that scipy.stats computes, from none to all correct."""
    expected = stats.binomtest(correct, evaluated).proportion_ci(confidence, method="wilson")
    assert wilson_interval(correct, evaluated, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_covers_the_true_rate():
    """Over all outcomes of 100 items the 95 % interval holds the true rate about 95 times in 100, near 1 too."""
    for rate in (0.5, 0.9, 0.97):
        chances = stats.binom.pmf(np.arange(101), 100, rate)
        covered = [low <= rate <= high for low, high in (wilson_interval(k, 100) for k in range(101))]
        assert 0.92 < float(np.sum(chances[covered])) < 0.98


@pytest.mark.parametrize(("correct", "evaluated"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_not_a_rate(correct, evaluated):
    """More correct than evaluated, or nothing evaluated, is an error, not a number."""
    with pytest.raises(ValueError, match="is not a rate"):
        wilson_interval(correct, evaluated)


def answers(both, only_a, only_b, neither):
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (3, 9), (24, 0)])
def test_mcnemar_is_exact_for_few_disagreements(only_a, only_b):
    """Below 25 disagreements the p-value is that of the two-sided binomial test."""
    result = mcnemar(*answers(100, only_a, only_b, 3))
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert (result.method, result.only_baseline, result.only_candidate) == ("exact", only_a, only_b)
    assert result.p_value == pytest.approx(expected)


@pytest.mark.parametrize(("only_a", "only_b"), [(25, 0), (20, 20), (30, 45)])
def test_mcnemar_is_chi_square_for_many_disagreements(only_a, only_b):
    """From 25 disagreements on it is the chi-square test with continuity correction."""
    result = mcnemar(*answers(7, only_a, only_b, 100))
    statistic = max(0, abs(only_a - only_b) - 1) ** 2 / (only_a + only_b)
    assert result.method == "chi2"
    assert result.p_value == pytest.approx(stats.chi2.sf(statistic, 1))


def test_mcnemar_rarely_accuses_equal_models():
    """Two models that err independently at the same rate differ significantly at most 5 % of the time."""
    rng = np.random.default_rng(1)
    pairs = rng.random((400, 2, 300)) < 0.9
    assert np.mean([mcnemar(a, b).p_value < 0.05 for a, b in pairs]) <= 0.05


def test_mcnemar_needs_the_same_items():
    """Answers to different numbers of items cannot be paired."""
    with pytest.raises(ValueError, match="not paired"):
        mcnemar(np.array([True]), np.array([True, False]))
