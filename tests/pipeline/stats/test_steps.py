"""Steps in series: found where they are, not made of noise or outliers."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from pipeline.stats.accuracy import wilson_interval
from pipeline.stats.independent import independent_difference
from pipeline.stats.steps import Step, _distances, find_steps


def noisy(levels: list[float], seed: int = 1, spread: float = 0.01) -> list[float]:
    rng = random.Random(seed)
    return [level + rng.gauss(0, spread) for level in levels]


def test_a_step_is_found_where_it_is() -> None:
    """Three values of 20 on a level five standard deviations lower are enough."""
    (step,) = find_steps(noisy([1.0] * 17 + [0.94] * 3), least=0.02)
    assert step.at == 17
    assert step.after - step.before == pytest.approx(-0.06, abs=0.02)


def test_a_dip_is_two_steps() -> None:
    """The level goes down and comes back."""
    steps = find_steps(noisy([1.0] * 10 + [0.9] * 5 + [1.0] * 10), least=0.02)
    assert [step.at for step in steps] == [10, 15]


def test_outliers_are_no_step() -> None:
    """Not even two in a row, however far away."""
    values = noisy([1.0] * 20)
    values[7] = values[8] = 50.0
    assert find_steps(values, least=0.02) == []


@pytest.mark.parametrize("heavy", [False, True], ids=["gauss", "student"])
def test_noise_alone_has_no_steps(heavy: bool) -> None:
    """Of 300 series without a step at most 1 % are cut."""
    rng = random.Random(5)

    def draw() -> float:
        return rng.gauss(0, 1) / (math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(3)) / 3) if heavy else 1)

    cut = sum(bool(find_steps([draw() for _ in range(rng.randint(6, 30))], least=1e-9)) for _ in range(300))
    assert cut <= 3


def test_a_series_without_noise_shows_the_least_step_that_matters() -> None:
    """Equal values give no division by zero, and a step of what matters is found after three values."""
    assert find_steps([0.9] * 12, least=0.005) == []
    assert find_steps([0.9] * 9 + [0.89] * 3, least=0.005) == [Step(9, 0.9, 0.89)]


def test_a_change_that_does_not_matter_is_no_step() -> None:
    """However sure it is."""
    assert find_steps([0.9] * 20 + [0.899] * 20, least=0.005) == []


def test_known_noise_counts() -> None:
    """What neighbours happen to agree on does not outweigh what each value is known to be worth."""
    assert find_steps([1.0] * 5 + [1.05] * 5, least=0.02, noise=0.05) == []


def test_few_values_have_no_steps() -> None:
    """Two levels of three values are the least."""
    assert find_steps([1.0, 1.0, 2.0, 2.0, 2.0], least=0.02) == []


def test_no_step_is_too_small_to_ask_for() -> None:
    """The least step must be positive."""
    with pytest.raises(ValueError, match="must be positive"):
        find_steps([1.0], least=0.0)


def test_distances_are_those_from_the_median() -> None:
    """What is kept up to date while a part grows is the sum that its definition says."""
    values = [random.Random(3).choice([0.0, 1.0, 1.0, 4.0, 9.5]) * k % 7 for k in range(40)]
    for start in (0, 11):
        for end, distance in _distances(values, start):
            part = values[start:end]
            assert distance == pytest.approx(sum(abs(value - statistics.median(part)) for value in part))


def test_the_interval_of_two_rates_is_newcombes() -> None:
    """His example (b): 9 of 10 and 3 of 10 differ by 0.6, 0.1705 to 0.8090 (Statist. Med. 17:873, table II)."""
    estimate, interval = independent_difference(0.3, wilson_interval(3, 10), 0.9, wilson_interval(9, 10))
    assert estimate == pytest.approx(0.6)
    assert interval == pytest.approx((0.1705, 0.8090), abs=5e-5)


def test_an_interval_must_hold_its_estimate() -> None:
    """A stranger's file may say anything."""
    with pytest.raises(ValueError, match="not within"):
        independent_difference(1.0, (2.0, 3.0), 1.0, (0.5, 1.5))
