"""One option for each of several things, with the least total loss, at a total cost within a limit.

The multiple-choice knapsack problem (Kellerer, Pferschy and Pisinger 2004, "Knapsack Problems", chapter 11), solved by
merging undominated combinations thing by thing. Pure: numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Option", "choose"]

# Undominated combinations that are kept. With five options each, 20 layers had 945 and took 0.04 s, 100 layers reached
# the limit and took some 10 s.
_MOST = 10_000


class Option(NamedTuple):
    """What an option costs, in any unit, and what is lost by it; both may be negative."""

    cost: float
    loss: float


class _Combination(NamedTuple):
    cost: float
    loss: float
    chosen: tuple[int, ...]


def choose(things: Sequence[Sequence[Option]], limit: float) -> tuple[int, ...] | None:
    """Return the index of the option for each thing, or None where even the cheapest cost more than `limit`.

    Of equal losses the cheaper combination is taken, of equal costs too the one with the earlier options. It is the
    best one as long as no more than 10,000 combinations are undominated; beyond that the limit still holds.
    """
    rest = [min(option.cost for option in options) for options in things]
    found = [_Combination(0.0, 0.0, ())]
    for place, options in enumerate(things):
        cheapest_rest = sum(rest[place + 1 :])
        grown = [
            _Combination(before.cost + option.cost, before.loss + option.loss, (*before.chosen, number))
            for before in found
            for number, option in enumerate(options)
            if before.cost + option.cost + cheapest_rest <= limit
        ]
        found = _thinned(_undominated(grown))
    return found[-1].chosen if found else None


def _undominated(combinations: Sequence[_Combination]) -> list[_Combination]:
    """Return those of which none is at once as cheap and better, the cheapest first: each next one loses less."""
    kept: list[_Combination] = []
    for one in sorted(combinations):
        if not kept or one.loss < kept[-1].loss:
            kept.append(one)
    return kept


def _thinned(combinations: Sequence[_Combination]) -> list[_Combination]:
    """Return at most so many, evenly spread, the cheapest and the best among them."""
    if len(combinations) <= _MOST:
        return list(combinations)
    step = (len(combinations) - 1) / (_MOST - 1)
    return [combinations[round(place * step)] for place in range(_MOST)]
