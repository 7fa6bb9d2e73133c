"""The difference of two independent estimates from their intervals alone, for figures measured in two runs."""

from __future__ import annotations

__all__ = ["independent_difference"]


def independent_difference(
    first: float, first_interval: tuple[float, float], second: float, second_interval: tuple[float, float]
) -> tuple[float, tuple[float, float]]:
    """Return second minus first and its interval, at the confidence that both intervals have.

    The distances from each estimate to the bounds that matter are added in squares (MOVER: Zou & Donner, Statist. Med.
    27:1693, 2008); for Wilson intervals of two rates this is Newcombe's interval (Statist. Med. 17:873, 1998, method
    10). An interval may be lopsided. Raises ValueError unless each holds its estimate.
    """
    (low_1, high_1), (low_2, high_2) = first_interval, second_interval
    if not (low_1 <= first <= high_1 and low_2 <= second <= high_2):
        raise ValueError(f"{first} and {second} are not within {first_interval} and {second_interval}")
    estimate = second - first
    down = ((second - low_2) ** 2 + (high_1 - first) ** 2) ** 0.5
    up = ((high_2 - second) ** 2 + (first - low_1) ** 2) ** 0.5
    return estimate, (estimate - down, estimate + up)
