"""The difference of two rates measured on the same items, with its interval. A test of it is `accuracy.mcnemar`."""

from __future__ import annotations

from pipeline.stats.distributions import normal_quantile

__all__ = ["paired_difference"]


def paired_difference(
    only_first: int, only_second: int, evaluated: int, confidence: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Return second rate minus first rate and its interval, from the counts of items that exactly one got right.

    The adjusted Wald interval of Bonett & Price (J. Educ. Behav. Stat. 37:479, 2012), one imagined item added to each
    count: unlike the plain one it does not shrink to nothing where the two never disagree. Within [-1, 1], and never
    without the estimate. Raises ValueError unless 0 <= only_first + only_second <= evaluated and evaluated >= 1.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > evaluated or evaluated < 1:
        raise ValueError(f"{only_first} and {only_second} discordant of {evaluated} evaluated are not paired counts")
    estimate = (only_second - only_first) / evaluated
    first, second = (only_first + 1) / (evaluated + 2), (only_second + 1) / (evaluated + 2)
    center = second - first
    z = normal_quantile(0.5 + confidence / 2)
    half = z * ((first + second - center**2) / (evaluated + 2)) ** 0.5
    return estimate, (max(-1.0, min(center - half, estimate)), min(1.0, max(center + half, estimate)))
