"""The few distribution functions that intervals and tests here need, from the standard library and NumPy alone.

SciPy has them all, but importing `scipy.special` takes 0.2 s, more than all else that checks a submission. The tests
hold every function here against it, to 1e-11 of its value or better.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["beta_cdf", "binomial_cdf", "normal_quantile", "student_cdf", "student_quantile"]

_MOST_TERMS = 20_000  # of a continued fraction, which takes some square roots of its larger parameter
_EXACT = 1e-15
_TINY = 1e-300


def normal_quantile(p: float) -> float:
    """Return the quantile `p` of the standard normal distribution; raises ValueError unless 0 < p < 1."""
    return NormalDist().inv_cdf(p)


def binomial_cdf(n: int, p: float) -> NDArray[np.float64]:
    """Return P(Binomial(n, p) <= k) for k = 0 ... n, shape (n + 1,); raises ValueError unless n >= 0 and 0 < p < 1.

    Weights are products of the ratios of neighbours, (n - k) p / ((k + 1) (1 - p)), from the largest one outwards,
    where next to nothing is rounded away, divided by their sum.
    """
    if n < 0 or not 0 < p < 1:
        raise ValueError(f"there is no binomial distribution of {n} draws with chance {p}")
    k, mode = np.arange(n), int((n + 1) * p)
    steps = np.log((n - k) / (k + 1)) + (math.log(p) - math.log1p(-p))
    below, above = -np.cumsum(steps[:mode][::-1])[::-1], np.cumsum(steps[mode:])
    sums = np.cumsum(np.exp(np.concatenate([below, [0.0], above])))
    found: NDArray[np.float64] = sums / sums[-1]
    return found


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b); raises ValueError unless 0 <= x <= 1, a > 0, b > 0.

    By the continued fraction DLMF 8.17.22, evaluated by Lentz's method as W. J. Thompson and A. R. Barnett modified it
    (J. Comput. Phys. 64:490, 1986), on the side of the mean where it converges fast.
    """
    if not 0 <= x <= 1 or not min(a, b) > 0:
        raise ValueError(f"there is no beta distribution with parameters {a} and {b} at {x}")
    if x in (0.0, 1.0):
        return float(x)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta_tail(1 - x, x, b, a)
    return _beta_tail(x, 1 - x, a, b)


def _beta_tail(x: float, rest: float, a: float, b: float) -> float:
    """Return I_x(a, b) for x below the mean; `rest` is 1 - x, which the caller may know better than to subtract."""
    front = _beta_power(x, rest, a, b) / a
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < _EXACT:
            break
    return min(front * fraction, 1.0)


def _beta_power(x: float, rest: float, a: float, b: float) -> float:
    """Return x^a (1 - x)^b / B(a, b): by Stirling's formula, since the logarithms of large gammas cancel."""
    total = a + b
    log = a * _log_ratio(x, total / a, (x * b - rest * a) / a) + b * _log_ratio(rest, total / b, (rest * a - x * b) / b)
    log += _stirling_error(total) - _stirling_error(a) - _stirling_error(b)
    return math.sqrt(a * b / total / math.tau) * math.exp(log)


def _log_ratio(x: float, factor: float, excess: float) -> float:
    """Return log(x factor), given also x factor - 1: the one is exact far from 1, the other near it."""
    return math.log1p(excess) if abs(excess) < 0.5 else math.log(x * factor)


def _stirling_error(z: float) -> float:
    """Return log gamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2), from 15 on by its series (DLMF 5.11.1)."""
    if z < 15:
        return math.lgamma(z) - ((z - 0.5) * math.log(z) - z + 0.5 * math.log(math.tau))
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / z**2) / z**2) / z**2) / z**2) / z


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def student_cdf(t: float, df: float) -> float:
    """Return P(T <= t) of Student's t distribution with `df` degrees of freedom; raises ValueError unless df > 0."""
    if not df > 0:
        raise ValueError(f"there is no t distribution with {df} degrees of freedom")
    if t > 0:
        return 1.0 - student_cdf(-t, df)
    square = t * t
    x, rest = df / (df + square), square / (df + square)
    if x in (0.0, 1.0) or rest == 0.0:
        return 0.5 * x
    if x > (df / 2 + 1) / (df / 2 + 2.5):
        return 0.5 * (1.0 - _beta_tail(rest, x, 0.5, df / 2))
    return 0.5 * _beta_tail(x, rest, df / 2, 0.5)


@lru_cache(maxsize=256)
def student_quantile(p: float, df: float) -> float:
    """Return the quantile `p` of Student's t distribution; raises ValueError unless 0 < p < 1 and df > 0.

    By Newton's method from the normal quantile, which lies on the side of it where the density is larger: above the
    median the distribution function is concave, so that every step falls short and none overshoots.
    """
    if p < 0.5:
        return -student_quantile(1 - p, df)
    t, tail = normal_quantile(p), 1 - p
    for _ in range(200):
        square = t * t
        density = _beta_power(df / (df + square), square / (df + square), df / 2, 0.5) / t if t else 1.0
        step = (student_cdf(-t, df) - tail) / density
        t += step
        if abs(step) <= 1e-15 * max(1.0, abs(t)):
            break
    return t
