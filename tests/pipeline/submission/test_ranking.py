"""Who counts for a team, who shares a rank, and what is significantly better."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipeline.submission.competition.ranking import (
    Answers,
    Attempt,
    Score,
    is_significantly_better,
    is_significantly_more_right,
    places,
    standing,
)

HIGHEST, LOWEST = {"path": "x", "best": "highest"}, {"path": "x", "best": "lowest"}


def terms(*, best: str = "highest", ties: str = "overlapping_intervals", ladder: bool = False) -> dict[str, Any]:
    primary = {"path": "x", "best": best}
    return {
        "ranking": {"primary": primary, "ties": ties, "then": [{"path": "y", "best": "highest"}]},
        "ladder": {"enabled": ladder, "confidence": 0.95},
    }


def attempt(team: str, value: float, half: float = 0.0, *, then: float | None = 0.0, moment: str = "1") -> Attempt:
    second = None if then is None else Score(then, then, then)
    return Attempt(team, f"{team}/{moment}", moment, (Score(value, value - half, value + half), second))


def ranks(*attempts: Attempt, **asked: Any) -> list[tuple[int, str]]:
    return [(place.rank, place.attempt.team) for place in places(attempts, terms(**asked))]


def test_the_best_is_first() -> None:
    """And the rank of the next counts those before it."""
    assert ranks(attempt("a", 1), attempt("b", 3), attempt("c", 2)) == [(1, "b"), (2, "c"), (3, "a")]


def test_the_lowest_can_be_the_best() -> None:
    """As of sizes."""
    assert ranks(attempt("a", 1), attempt("b", 3), best="lowest") == [(1, "a"), (2, "b")]


def test_overlapping_intervals_share_a_rank() -> None:
    """The next rank is that of their number."""
    found = ranks(attempt("a", 10, 1), attempt("b", 9, 1), attempt("c", 5, 1))
    assert found == [(1, "a"), (1, "b"), (3, "c")]


def test_who_overlaps_the_second_only_does_not_share_the_first_rank() -> None:
    """Else a chain of small steps would tie the best with the worst."""
    found = ranks(attempt("a", 10, 0.6), attempt("b", 9, 0.6), attempt("c", 8, 0.6))
    assert found == [(1, "a"), (1, "b"), (3, "c")]


def test_a_wide_interval_does_not_climb_over_a_surer_figure() -> None:
    """Noise is no merit."""
    found = ranks(attempt("a", 10, 0.1), attempt("b", 9, 0.1), attempt("noisy", 8, 5))
    assert found == [(1, "a"), (2, "b"), (2, "noisy")]


def test_further_figures_order_those_who_share_a_rank() -> None:
    """A missing one is the worst; the earlier of two that are the same comes first."""
    tied = [attempt("a", 10, 1), attempt("b", 9.5, 1, then=3), attempt("c", 9.4, 1, then=None)]
    tied += [attempt("d", 9.5, 1, then=3, moment="0")]
    assert ranks(*tied) == [(1, "d"), (1, "b"), (1, "a"), (1, "c")]


def test_only_the_same_figures_tie_where_the_competition_says_equal() -> None:
    """Whatever their intervals."""
    found = ranks(attempt("a", 10, 1), attempt("b", 9, 1), attempt("c", 10, 2), ties="equal")
    assert found == [(1, "a"), (1, "c"), (3, "b")]


@pytest.mark.parametrize("seed", range(5))
def test_ranks_do_not_depend_on_the_order_of_the_attempts(seed: int) -> None:
    """They follow from what was handed in."""
    rng = random.Random(seed)
    attempts = [attempt(f"t{i}", rng.uniform(1, 3), rng.uniform(0, 0.3), then=rng.choice([0, 1])) for i in range(30)]
    before = places(attempts, terms())
    rng.shuffle(attempts)
    assert places(attempts, terms()) == before


def test_nobody_shares_the_rank_of_one_whose_interval_is_apart() -> None:
    """And who shares it follows a leader without a gap, among many random scores."""
    rng = random.Random(1)
    found = places([attempt(f"t{i}", rng.uniform(1, 3), rng.uniform(0, 0.3)) for i in range(200)], terms())
    for rank in {place.rank for place in found}:
        group = [place.attempt.scores[0] for place in found if place.rank == rank]
        leader = max(group, key=lambda score: score.value)
        assert all(score.high >= leader.low for score in group)
    assert [place.position for place in found] == list(range(1, 201))


def counts(*attempts: Attempt, ladder: bool = True) -> str:
    return standing(attempts, terms(ladder=ladder))["a"].attempt.moment


def test_a_lucky_attempt_does_not_count_with_the_ladder() -> None:
    """Better by less than the intervals allow for."""
    first, lucky = attempt("a", 10, 1, moment="1"), attempt("a", 10.5, 1, moment="2")
    assert counts(first, lucky) == "1"
    assert counts(first, lucky, ladder=False) == "2"


def test_each_step_of_the_ladder_is_taken_from_the_one_that_counts() -> None:
    """Not from the best that was ever seen."""
    attempts = [attempt("a", value, 1, moment=str(i)) for i, value in enumerate([10, 10.9, 11.5, 11.3])]
    assert counts(*attempts) == "2"


def test_an_exact_figure_steps_by_any_amount() -> None:
    """And where it is the same, the next figure decides."""
    assert counts(attempt("a", 10, moment="1"), attempt("a", 10.01, moment="2")) == "2"
    assert counts(attempt("a", 10, then=1, moment="1"), attempt("a", 10, then=2, moment="2")) == "2"
    assert counts(attempt("a", 10, then=1, moment="1"), attempt("a", 10, then=1, moment="2")) == "1"


def test_what_is_passed_over_says_why() -> None:
    """Whether it came before or after the one that counts."""
    attempts = [attempt("a", value, 1, moment=str(i)) for i, value in enumerate([10, 20, 20.1])]
    passed_over = standing(attempts, terms(ladder=True))["a"].passed_over
    assert passed_over["a/0"] == "a/1 is significantly better"
    assert passed_over["a/2"].startswith("not significantly better than a/1")


def test_attempts_are_taken_in_the_order_of_their_measurement() -> None:
    """However they are given."""
    attempts = [attempt("a", 10, 1, moment="1"), attempt("a", 10.5, 1, moment="2")]
    assert counts(*reversed(attempts)) == "1"


@pytest.mark.parametrize(("gap", "is_better"), [(1.15, False), (1.2, True)])
def test_the_step_is_that_of_the_difference_of_independent_figures(gap: float, is_better: bool) -> None:
    """1.645 standard errors of the difference at 95 %, where each interval has 1.96 of its own."""
    one, other = Score(10 + gap, 9 + gap, 11 + gap), Score(10, 9, 11)
    assert is_significantly_better(one, other, 0.95) == is_better


def answered(right: int, moment: str) -> Attempt:
    """An attempt that answers some of 1000 items right, the first ones."""
    share = right / 1000
    return Attempt("a", moment, moment, (Score(share, share - 0.02, share + 0.02),), Answers(1000, (1 << right) - 1))


@pytest.mark.parametrize(("right", "is_better"), [(902, False), (910, True)])
def test_accuracies_are_compared_on_the_same_items(right: int, is_better: bool) -> None:
    """Ten more right and none lost is a step that intervals side by side would hide."""
    rules = terms(ladder=True)
    rules["ranking"] |= {"primary": {"path": "accuracy.optimized.test.accuracy", "best": "highest"}, "then": []}
    attempts = [answered(900, "1"), answered(right, "2")]
    assert standing(attempts, rules)["a"].attempt.moment == ("2" if is_better else "1")
    assert not is_significantly_better(attempts[1].scores[0], attempts[0].scores[0], 0.95)  # type: ignore[arg-type]


def test_answers_to_other_items_are_not_paired() -> None:
    """Nor is anything said of them."""
    with pytest.raises(ValueError, match="not paired"):
        is_significantly_more_right(Answers(3, 7), Answers(4, 7), 0.95)


def test_pure_luck_climbs_the_ladder_rarely() -> None:
    """Of 20 equal tries the best looks better by 0.9; what counts with the ladder by less than half of that."""
    rng = random.Random(0)
    gains = {True: 0.0, False: 0.0}
    for _ in range(300):
        tries = [attempt("a", rng.gauss(10, 0.5), 0.98, moment=f"{i:02}") for i in range(20)]
        for ladder in gains:
            gains[ladder] += (standing(tries, terms(ladder=ladder))["a"].attempt.scores[0].value - 10) / 300  # type: ignore[union-attr]
    assert gains[False] > 0.8
    assert gains[True] < 0.5
