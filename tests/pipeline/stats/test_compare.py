"""The ratio of two arms, its verdict, and Holm's correction."""

import numpy as np
import pytest
from scipy import stats

from pipeline.stats.compare import VERDICTS, Ratio, claim_p_value, ratio, verdict
from pipeline.stats.correction import holm


def experiment(rng, speedup, processes=6, pairs=40):
    """Simulate arms: times share slow drift, processes differ by 0.85 %, and one sample in twenty is an outlier."""
    baseline, candidate = [], []
    for _ in range(processes):
        drift = 1 + 0.2 * np.sin(np.linspace(0, 3, pairs) + rng.random())
        arms = [100_000 * drift * np.exp(rng.normal(0, 0.01, pairs)) for _ in range(2)]
        for arm in arms:
            arm[rng.random(pairs) < 0.05] *= 1.5
        baseline.append(arms[0] * np.exp(rng.normal(0, 0.0085)))
        candidate.append(arms[1] / speedup)
    return baseline, candidate


def test_estimate_is_the_median_over_processes_of_medians_of_paired_log_ratios():
    """The estimate equals the definition computed by hand."""
    baseline, candidate = experiment(np.random.default_rng(0), 1.3)
    found = ratio(baseline, candidate, seed=0)
    each = [np.exp(np.median(np.log(a) - np.log(b))) for a, b in zip(baseline, candidate, strict=True)]
    assert found.per_process == pytest.approx(tuple(each))
    assert found.estimate == pytest.approx(np.exp(np.median(np.log(each))))
    assert found.interval[0] <= found.estimate <= found.interval[1]


def test_copies_weigh_the_same_within_a_process():
    """With copies numbered the estimate of a process is the mean over copies of their medians."""
    baseline, candidate = experiment(np.random.default_rng(6), 1.1, pairs=50)
    copies = [np.minimum(np.arange(50) // 4, 7)] * 6  # the last has more pairs than the others
    found = ratio(baseline, candidate, seed=0, copies=copies)
    logs = [np.log(a / b) for a, b in zip(baseline, candidate, strict=True)]
    each = [np.exp(np.mean([np.median(log[copies[0] == copy]) for copy in range(8)])) for log in logs]
    assert found.per_process == pytest.approx(tuple(each))
    assert found.estimate == pytest.approx(np.exp(np.median(np.log(each))))


def test_interval_is_at_least_the_t_interval_over_processes():
    """The hull never is narrower than Student's interval of the processes' log ratios."""
    baseline, candidate = experiment(np.random.default_rng(1), 1.0)
    found = ratio(baseline, candidate, seed=0)
    logs = np.log(found.per_process)
    low, high = stats.t.interval(0.95, len(logs) - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert found.interval[0] <= np.exp(low) + 1e-12
    assert found.interval[1] >= np.exp(high) - 1e-12


def test_interval_covers_the_true_ratio_and_equal_arms_are_never_called_different():
    """In 300 simulated comparisons of equal arms at least 94 % of intervals hold 1, and no verdict claims a change."""
    rng = np.random.default_rng(2)
    found = [ratio(*experiment(rng, 1.0), seed=i) for i in range(300)]
    assert np.mean([r.interval[0] <= 1 <= r.interval[1] for r in found]) >= 0.94
    assert {verdict(r.interval, 0.02) for r in found} <= {"equivalent", "inconclusive"}


def test_a_true_five_percent_is_found():
    """With six processes a slow-down of 5 % is called slower in nearly all of 60 simulated comparisons."""
    rng = np.random.default_rng(3)
    verdicts = [verdict(ratio(*experiment(rng, 1 / 1.05), seed=i).interval, 0.02) for i in range(60)]
    assert verdicts.count("slower") >= 57


def test_a_control_that_differs_widens_the_ratio():
    """Room is left on both sides for what identical code certainly differed by, none for what may be chance."""
    speedup = Ratio(1.1, (1.05, 1.15), 0.95, (1.1, 1.1))
    assert speedup.widened_by(Ratio(1.01, (0.99, 1.03), 0.95, ())) is speedup
    for off in (1.02, 1 / 1.02):
        widened = speedup.widened_by(Ratio(off, (off - 0.01, off + 0.01), 0.95, ()))
        assert widened.interval == pytest.approx((1.05 / 1.02, 1.15 * 1.02))
        assert widened.estimate == 1.1
        assert widened.method.endswith("widened by the control")


def test_ratio_is_deterministic_and_json():
    """The same samples and seed give the same record."""
    arms = experiment(np.random.default_rng(4), 2.0)
    record = ratio(*arms, seed=7).to_json()
    assert record == ratio(*arms, seed=7).to_json()
    assert record.keys() == {"estimate", "interval", "confidence", "method", "per_process"}


def test_ratio_refuses_what_is_not_paired():
    """One process, unequal lengths or a time of zero raise instead of giving a number."""
    good = np.ones(5)
    for baseline, candidate in [
        ([good], [good]),
        ([good, good], [good]),
        ([good, good], [good, good[:3]]),
        ([good, good], [good, good * 0]),
    ]:
        with pytest.raises(ValueError, match=r"processes|paired|positive"):
            ratio(baseline, candidate, seed=0)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((1.03, 1.2), "faster"),
        ((0.8, 0.97), "slower"),
        ((0.99, 1.01), "equivalent"),
        ((0.99, 1.03), "inconclusive"),
        ((1.01, 1.03), "inconclusive"),
        ((0.5, 2.0), "inconclusive"),
        ((1.0, 1.0), "equivalent"),
    ],
)
def test_verdict_needs_the_whole_interval(interval, expected):
    """A claim needs the whole interval beyond ±2 %, equivalence the whole interval within."""
    assert expected in VERDICTS
    assert verdict(interval, 0.02) == expected


def test_verdict_mirrors_when_arms_are_exchanged():
    """Exchanging the arms inverts the interval and turns faster into slower, nothing else."""
    mirror = {"faster": "slower", "slower": "faster", "equivalent": "equivalent", "inconclusive": "inconclusive"}
    for low, high in np.exp(np.sort(np.random.default_rng(5).normal(0, 0.05, (200, 2)))):
        assert verdict((1 / high, 1 / low), 0.02) == mirror[verdict((low, high), 0.02)]


def test_verdict_refuses_what_is_no_interval():
    """A reversed or non-positive interval is an error."""
    for interval in [(2.0, 1.0), (0.0, 1.0), (float("nan"), 1.0)]:
        with pytest.raises(ValueError, match="no verdict"):
            verdict(interval, 0.02)


def test_claim_p_value_is_a_t_test_against_the_threshold():
    """The p-value is twice scipy's one-sided t test of the log ratios against the edge of the indifference zone."""
    per_process = [1.05, 1.06, 1.04, 1.055, 1.03, 1.045]
    expected = stats.ttest_1samp(np.log(per_process), np.log(1.02), alternative="greater").pvalue
    assert claim_p_value(per_process, 0.02) == pytest.approx(2 * expected)
    assert claim_p_value([1 / r for r in per_process], 0.02) == pytest.approx(2 * expected)
    assert claim_p_value([1.001, 0.999], 0.02) == 1.0


def test_holm_textbook_example():
    """Adjusted p-values are those of Holm's step-down procedure, in the order asked, never above 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_chance_of_any_false_claim():
    """Among 20 true null hypotheses any is rejected at 5 % in at most about 5 % of experiments."""
    p_values = np.random.default_rng(6).random((2000, 20))
    assert np.mean([min(holm(row)) <= 0.05 for row in p_values.tolist()]) <= 0.06
