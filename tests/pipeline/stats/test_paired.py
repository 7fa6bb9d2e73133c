"""The interval of a difference of paired rates."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.stats.paired import paired_difference


def test_the_interval_follows_the_published_formula() -> None:
    """By hand for 8 and 2 discordant of 98: adjusted rates 0.09 and 0.03 of 100."""
    estimate, (low, high) = paired_difference(8, 2, 98)
    half = 1.959963985 * ((0.09 + 0.03 - 0.06**2) / 100) ** 0.5
    assert estimate == -6 / 98
    assert (low, high) == pytest.approx((-0.06 - half, -0.06 + half))


def test_exchanging_the_models_mirrors_the_interval() -> None:
    """Neither side is favoured."""
    _, (low, high) = paired_difference(7, 3, 360)
    _, (mirrored_low, mirrored_high) = paired_difference(3, 7, 360)
    assert (mirrored_low, mirrored_high) == pytest.approx((-high, -low))


def test_models_that_never_disagree_are_not_known_to_be_equal() -> None:
    """The interval is not empty: 360 items cannot show a difference of half a point."""
    estimate, (low, high) = paired_difference(0, 0, 360)
    assert estimate == 0
    assert 0.005 < high == -low < 0.01


def test_the_interval_covers_the_truth() -> None:
    """In about 95 % of 2000 experiments with 4 % and 2 % discordant items among 300."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(300, [0.04, 0.02, 0.94], size=2000)
    hits = sum(low <= -0.02 <= high for a, b, _ in counts for _, (low, high) in [paired_difference(a, b, 300)])
    assert 0.93 < hits / 2000 < 0.98


def test_extremes_stay_within_minus_one_and_one() -> None:
    """And contain the estimate."""
    assert paired_difference(0, 5, 5) == (1.0, (pytest.approx(0.196, abs=0.001), 1.0))


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_rejected(counts: tuple[int, int, int]) -> None:
    """More discordant items than items."""
    with pytest.raises(ValueError, match="paired counts"):
        paired_difference(*counts)
