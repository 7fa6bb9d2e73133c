"""How many processes a claim needs among many, against the distribution and the correction that decide it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.stats.compare import claim_p_value, ratio
from pipeline.stats.correction import critical_t, holm, least_claim, processes_needed, two_sided_p
from pipeline.stats.distributions import student_cdf


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 11, 63])
def test_the_tail_is_that_of_students_distribution(freedom: int) -> None:
    """The finite sums equal the incomplete beta function that intervals are made with."""
    for t in (0.0, 0.3, 1.0, 2.5, 12.0):
        assert two_sided_p(t, freedom) == pytest.approx(2 * student_cdf(-t, freedom), rel=1e-6, abs=1e-13)


def test_a_critical_value_is_exceeded_as_often_as_said() -> None:
    """Known values: 12.706 and 2.571 at 5 %; 611 for the first of 48 comparisons of two processes."""
    assert critical_t(0.05, 1) == pytest.approx(12.706, abs=1e-3)
    assert critical_t(0.05, 5) == pytest.approx(2.571, abs=1e-3)
    assert critical_t(0.05 / 48, 1) == pytest.approx(611, abs=1)


@pytest.mark.parametrize(("call", "words"), [((-1.0, 3), "at -1.0"), ((1.0, 0), "0 degrees")])
def test_no_distribution_is_an_error(call: tuple[float, int], words: str) -> None:
    """What no distribution has is named."""
    with pytest.raises(ValueError, match=words):
        two_sided_p(*call)


def test_as_many_processes_as_are_needed_are_enough() -> None:
    """Processes that spread like the first two survive the correction in the number that was told, not with fewer."""
    rng = np.random.default_rng(0)
    logs = [math.log(3.9) - 0.02, math.log(3.9) + 0.02]
    samples = [np.exp(log + rng.normal(0, 1e-4, 200)) for log in logs]
    found = ratio([np.ones(200) * sample for sample in samples], [np.ones(200)] * 2, 0)
    needed = processes_needed(found.interval, 2, 0.02, 48)
    assert needed == 3
    assert _adjusted(logs, 2) > 0.05
    assert _adjusted(logs, needed) <= 0.05


def _adjusted(logs: list[float], count: int) -> float:
    """Return Holm's p-value among 48 of so many processes with the mean and the spread of two."""
    middle, spread = sum(logs) / 2, float(np.std(logs, ddof=1))
    drawn = np.linspace(-1, 1, count)
    found = middle + drawn * spread / float(np.std(drawn, ddof=1))
    return holm([claim_p_value(np.exp(found).tolist(), 0.02), *[1.0] * 47])[0]


@pytest.mark.parametrize("interval", [(0.99, 1.3), (0.9, 1.1), (1.01, 1.5)])
def test_an_interval_that_claims_nothing_needs_no_number(interval: tuple[float, float]) -> None:
    """It is inconclusive by itself, which no correction did."""
    assert processes_needed(interval, 3, 0.02, 48) is None


def test_slower_counts_like_faster() -> None:
    """The ratio turned round needs as many processes."""
    assert processes_needed((1 / 1.5, 1 / 1.3), 3, 0.02, 48) == processes_needed((1.3, 1.5), 3, 0.02, 48)


def test_few_processes_can_claim_only_what_is_large() -> None:
    """Among 48 points: two find nothing of use, three a fifth, six some percent."""
    found = [least_claim(processes, 0.02, 48) for processes in (2, 3, 6)]
    assert found[0] > 10
    assert found == sorted(found, reverse=True)
    assert found[1] == pytest.approx(1.22, abs=0.01)
    assert found[2] < 1.06
