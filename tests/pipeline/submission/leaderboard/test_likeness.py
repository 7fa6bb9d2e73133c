"""What submissions of different teams have in common."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from pipeline.submission.leaderboard.entry import Entry
from pipeline.submission.leaderboard.likeness import HandedIn, flags_of

Make = Callable[..., Entry]
EMPTY = Entry("", "pass", "recomputed", ())


def entry(name: str, *, changes: Iterable[int] | None = None, tensors: Iterable[str] | None = None) -> Entry:
    """An entry whose files, samples, weights and answers are its own."""
    return replace(
        EMPTY,
        digest=name,
        weights=f"w{name}",
        samples=f"s{name}",
        predictions=f"p{name}",
        recipe="r",
        moment=name,
        items=1000,
        classes=10,
        changes=None if changes is None else tuple(changes),
        tensors=None if tensors is None else tuple(tensors),
    )


def kinds(*handed_in: tuple[str, Entry]) -> dict[str, list[tuple[str, str]]]:
    found = flags_of(HandedIn(team, f"{team}/{one.digest}", one) for team, one in handed_in)
    return {path: [(flag.kind, flag.path) for flag in flags] for path, flags in found.items()}


def test_submissions_of_their_own_have_no_flags(make: Make) -> None:
    """Other times, weights and answers."""
    assert kinds(("a", make(1, flips=9)), ("b", make(2, flips=9))) == {}


def test_the_same_file_is_told_once(make: Make) -> None:
    """Not again as the same samples, weights and answers."""
    one = make(1)
    assert list(kinds(("a", one), ("b", one)).values()) == [
        [("submission", f"b/{one.digest}")],
        [("submission", f"a/{one.digest}")],
    ]


def test_the_same_weights_measured_twice_are_told(make: Make) -> None:
    """With whether the recipe is the same."""
    one, other = make(1, weights=5), make(2, weights=5)
    found = flags_of([HandedIn("a", "a", one), HandedIn("b", "b", replace(other, recipe="another"))])
    assert found["a"][0].text == "the same weights, by another recipe"
    same = flags_of([HandedIn("a", "a", one), HandedIn("b", "b", other)])
    assert "by the same recipe" in same["a"][0].text


def test_copied_times_are_told() -> None:
    """Two measurements are never the same to the nanosecond."""
    one, other = entry("1"), replace(entry("2"), samples="s1")
    assert kinds(("a", one), ("b", other)) == {"a/1": [("samples", "b/2")], "b/2": [("samples", "a/1")]}


def test_a_team_may_repeat_itself() -> None:
    """Flags are about other teams."""
    assert kinds(("a", entry("1")), ("a", replace(entry("2"), weights="w1"))) == {}


def test_near_answers_are_told() -> None:
    """From 90 % of all that differ from the baseline's, of at least ten."""
    first = entry("1", changes=range(0, 200, 10))
    near = entry("2", changes=[*range(0, 190, 10), 1905])
    far = entry("3", changes=[*range(0, 170, 10), 1905, 1915, 1925])
    assert kinds(("a", first), ("b", near), ("c", far)) == {"a/1": [("answers", "b/2")], "b/2": [("answers", "a/1")]}


def test_few_changed_answers_say_nothing() -> None:
    """Eight bits change hardly any, whoever quantizes."""
    changes = range(0, 90, 10)
    assert kinds(("a", entry("1", changes=changes)), ("b", entry("2", changes=changes))) == {}


def test_the_text_counts_items_not_answers() -> None:
    """One item that both models answer otherwise than each other is one."""
    first, second = entry("1", changes=range(0, 400, 10)), entry("2", changes=[*range(0, 390, 10), 395])
    (flag,) = flags_of([HandedIn("a", "a", first), HandedIn("b", "b", second)])["a"]
    assert "39 of the 41 answers" in flag.text
    assert "of all 1000 answers 1 differ" in flag.text


def test_a_copy_with_one_weight_changed_keeps_its_other_tensors() -> None:
    """Half of the tensors in common is near."""
    first, second = entry("1", tensors="abcdef"), entry("2", tensors="abcdeX")
    assert kinds(("a", first), ("b", second))["b/2"] == [("tensors", "a/1")]


def test_each_is_told_of_the_earliest_of_another_team() -> None:
    """Whoever was first is most likely to be copied."""
    late, first, middle = (replace(entry(name), weights="w") for name in "312")
    found = kinds(("c", late), ("a", first), ("b", middle))
    assert {path: flags[0][1] for path, flags in found.items()} == {"a/1": "b/2", "b/2": "a/1", "c/3": "a/1"}


@pytest.mark.parametrize("seed", range(3))
def test_no_near_pair_is_missed(seed: int) -> None:
    """Compared with all pairs, among random sets and their copies with some answers changed."""
    rng = random.Random(seed)
    sets: list[set[int]] = []
    for _ in range(60):
        base = set(rng.choice(sets)) if sets and rng.random() < 0.6 else set(rng.sample(range(7200), 40))
        for _ in range(rng.randrange(4)):
            base.discard(rng.choice(sorted(base)))
            base.add(rng.randrange(7200))
        sets.append(base)
    found = kinds(*((f"t{i}", entry(f"{i:02}", changes=sorted(one))) for i, one in enumerate(sets)))
    near = {
        f"t{i}/{i:02}"
        for i, one in enumerate(sets)
        for k, other in enumerate(sets)
        if k != i and len(one & other) / len(one | other) >= 0.9 and found_first(sets, i, k)
    }
    assert near <= set(found)


def found_first(sets: list[set[int]], i: int, k: int) -> bool:
    """Tell whether the earlier of two is near nothing before it, so that it leads its group."""
    first = min(i, k)
    return all(len(sets[first] & one) / len(sets[first] | one) < 0.9 for one in sets[:first])


def test_many_that_share_an_answer_take_little_time() -> None:
    """Each has its own rare ones; what all have is no reason to compare them."""
    rng = random.Random(0)
    sets = [[0, 10, 20, *sorted(rng.sample(range(100, 10**6), 30))] for _ in range(2000)]
    assert kinds(*((f"t{i}", entry(f"{i:04}", changes=one)) for i, one in enumerate(sets))) == {}
