"""Distribution functions, against SciPy and against exact sums of fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from pipeline.stats.distributions import beta_cdf, binomial_cdf, normal_quantile, student_cdf, student_quantile

special = pytest.importorskip("scipy.special")

DEGREES = (1, 2, 3, 5, 7, 19, 30, 199, 1000)


def test_normal_quantiles_are_scipys() -> None:
    """In the middle and far out."""
    for p in (1e-12, 0.025, 0.5, 0.6, 0.975, 1 - 1e-9):
        assert normal_quantile(p) == pytest.approx(special.ndtri(p), rel=1e-13)


@pytest.mark.parametrize("df", DEGREES)
def test_students_t_is_scipys(df: int) -> None:
    """The distribution function from the far tail on, where a p-value is tiny, and its quantile."""
    for t in (-1e8, -1e3, -30, -5, -2, -1, -0.5, -0.01, 0, 0.3, 4):
        assert student_cdf(t, df) == pytest.approx(special.stdtr(df, t), rel=1e-12)
    for p in (0.01, 0.5, 0.6, 0.95, 0.975, 0.9995, 1 - 1e-9):
        assert student_quantile(p, df) == pytest.approx(special.stdtrit(df, p), rel=1e-11)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("n", [0, 1, 2, 24, 400, 20_000])
def test_binomial_sums_are_scipys(n: int, p: float) -> None:
    """For every number of hits at once, whose last is certain."""
    found = binomial_cdf(n, p)
    assert found.shape == (n + 1,)
    assert found == pytest.approx(special.bdtr(np.arange(n + 1), n, p), rel=1e-9, abs=1e-10)
    assert found[-1] == 1.0


def test_binomial_sums_are_those_of_whole_numbers() -> None:
    """More exactly than logarithms of factorials would give them."""
    for n, k in ((24, 3), (1000, 400), (5000, 2300)):
        exact = float(Fraction(sum(math.comb(n, i) for i in range(k + 1)), 2**n))
        assert binomial_cdf(n, 0.5)[k] == pytest.approx(exact, rel=1e-13)


def test_incomplete_beta_functions_are_scipys() -> None:
    """For parameters from 1 to 100,000, around the mean, where early stopping asks for them."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        a, b = (float(rng.integers(1, 10 ** int(rng.integers(1, 6)))) for _ in range(2))
        x = float(np.clip(rng.normal(a / (a + b), 2 * math.sqrt(a * b / (a + b) ** 3)), 1e-6, 1 - 1e-6))
        assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=2e-11, abs=1e-12)
    assert (beta_cdf(0.0, 2, 3), beta_cdf(1.0, 2, 3)) == (0.0, 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: normal_quantile(1.0),
        lambda: binomial_cdf(-1, 0.5),
        lambda: binomial_cdf(3, 1.0),
        lambda: beta_cdf(0.5, 0, 1),
        lambda: beta_cdf(1.5, 1, 1),
        lambda: student_cdf(0.0, 0),
        lambda: student_quantile(1.0, 3),
    ],
)
def test_what_has_no_value_is_refused(call: object) -> None:
    """Never answered with an infinity or NaN that figures would be made of."""
    assert callable(call)
    with pytest.raises(ValueError, match=r"must be|there is no"):
        call()
