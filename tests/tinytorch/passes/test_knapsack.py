"""One option for each thing within a limit: against all combinations written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinytorch.passes import knapsack
from tinytorch.passes.knapsack import Option, choose


def best_loss(things: list[list[Option]], limit: float) -> float | None:
    """The least loss of all combinations that keep the limit."""
    sums = [(sum(o.cost for o in one), sum(o.loss for o in one)) for one in itertools.product(*things)]
    return min((loss for cost, loss in sums if cost <= limit + 1e-9), default=None)


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_the_best_of_all(seed: int) -> None:
    """Random costs and losses, saved or spent."""
    rng = np.random.default_rng(seed)
    things = [
        [Option(float(rng.integers(-50, 10)), float(rng.integers(0, 20))) for _ in range(rng.integers(1, 5))]
        for _ in range(rng.integers(1, 6))
    ]
    limit = float(rng.integers(-120, 20))
    chosen, expected = choose(things, limit), best_loss(things, limit)
    if expected is None:
        assert chosen is None
        return
    assert chosen is not None
    picked = [options[number] for options, number in zip(things, chosen, strict=True)]
    assert sum(option.cost for option in picked) <= limit
    assert sum(option.loss for option in picked) == expected


def test_of_equal_losses_the_cheaper_is_taken() -> None:
    """What costs less and loses no more is better."""
    assert choose([[Option(3, 1), Option(2, 1)]], 5) == (1,)


def test_the_limit_holds_where_too_many_combinations_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer combinations are kept, none of them beyond the limit."""
    monkeypatch.setattr(knapsack, "_MOST", 20)
    rng = np.random.default_rng(0)
    things = [[Option(0.0, 0.0), *(Option(-c, c**1.1) for c in rng.uniform(1, 9, 6))] for _ in range(12)]
    chosen = choose(things, -40.0)
    assert chosen is not None
    assert sum(options[number].cost for options, number in zip(things, chosen, strict=True)) <= -40.0


def test_no_things_cost_nothing() -> None:
    """An empty choice is within a limit of zero, and beyond a negative one there is none."""
    assert choose([], 0.0) == ()
