"""Which submissions of different teams are the same, or nearly: their files, samples, weights and answers.

A flag is an observation, not a verdict: the same recipe gives the same weights wherever it is followed, and models that
learned alike answer alike. So each flag says how much is the same, and whether the recipes are.

How near is near. All start from the same baseline, so that nearly all answers are equal anyway, and most errors, too.
What tells models apart are the answers that differ from the baseline's, each an item with the class it got. Measured on
the digits with 15 recipes: those whose sparsity differs share less than 30 % of such answers (of both models together),
those that differ in one small setting (bits, rate, an epoch more) 60 to 90 %, the same weights with activations rounded
otherwise 96 %, and a copy with some weights changed is nearer still. `NEAR_ANSWERS` is 90 %, of at least
`LEAST_ANSWERS`: with fewer chance decides. Of weights, tensors that the baseline does not have are compared, whole: two
trainings have none in common, a copy most of them; `NEAR_TENSORS` is half.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.submission.leaderboard.entry import Entry

__all__ = ["Flag", "HandedIn", "LEAST_ANSWERS", "LEAST_TENSORS", "NEAR_ANSWERS", "NEAR_TENSORS", "flags_of"]

NEAR_ANSWERS, LEAST_ANSWERS = 0.9, 10
NEAR_TENSORS, LEAST_TENSORS = 0.5, 3
# Bounds of the work that strangers can cause: what so many groups have is not rare, and who is near shares the most.
_MOST_KNOWN, _MOST_CANDIDATES = 100, 50


class HandedIn(NamedTuple):
    """An entry with the team that handed it in, and where it lies."""

    team: str
    path: str
    entry: Entry


class Flag(NamedTuple):
    """What a submission has in common with the earliest like it of another team, the most telling first.

    `kind` is one of submission, samples, weights, predictions, tensors and answers; the last two are the near ones.
    """

    kind: str
    team: str
    path: str
    share: float
    text: str


def flags_of(handed_in: Iterable[HandedIn]) -> dict[str, tuple[Flag, ...]]:
    """Return path -> flags of all submissions that are like one of another team.

    Only valid ones are compared. Those that are the same have the same digest; those that are nearly the same are found
    by what is rare in them (R. J. Bayardo et al., "Scaling up all pairs similarity search", WWW 2007), so that 10,000
    take seconds, and each is compared with the earliest of its kind: two that are near a third are taken for alike.
    """
    ordered = sorted((one for one in handed_in if one.entry.weights), key=_age)
    found: dict[str, list[Flag]] = defaultdict(list)
    told: set[tuple[str, str]] = set()
    for kind, groups in _groups(ordered):
        for group in groups:
            first_of: dict[str, HandedIn] = {}
            for one in group:
                first_of.setdefault(one.team, one)
            if len(first_of) == 1:
                continue
            earliest, next_team = list(first_of.values())[:2]
            for one in group:
                other = next_team if one.team == earliest.team else earliest
                if (one.path, other.path) not in told:
                    told.add((one.path, other.path))
                    share, text = _TEXTS[kind](one.entry, other.entry)
                    found[one.path].append(Flag(kind, other.team, other.path, share, text))
    return {path: tuple(flags) for path, flags in found.items()}


def _age(one: HandedIn) -> tuple[str, str]:
    return one.entry.moment, one.path


def _groups(ordered: Sequence[HandedIn]) -> Iterator[tuple[str, Iterable[list[HandedIn]]]]:
    """Yield (kind, groups of those that are alike), the most telling kind first; each group in the given order."""
    keys: dict[str, Callable[[Entry], Hashable]] = {
        "submission": lambda entry: entry.digest,
        "samples": lambda entry: entry.samples,
        "weights": lambda entry: entry.weights,
    }
    for kind, key in keys.items():
        yield kind, _equal(ordered, key)
    yield "tensors", _near(ordered, lambda entry: entry.tensors, NEAR_TENSORS, LEAST_TENSORS)
    enough = [one for one in ordered if one.entry.changes is not None and len(one.entry.changes) >= LEAST_ANSWERS]
    yield "predictions", _equal(enough, lambda entry: entry.predictions)
    yield "answers", _near(ordered, lambda entry: entry.changes, NEAR_ANSWERS, LEAST_ANSWERS)


def _equal(ordered: Iterable[HandedIn], key: Callable[[Entry], Hashable]) -> Iterable[list[HandedIn]]:
    groups: dict[Hashable, list[HandedIn]] = {}
    for one in ordered:
        groups.setdefault(key(one.entry), []).append(one)
    return groups.values()


def _near(
    ordered: Sequence[HandedIn], tokens_of: Callable[[Entry], Sequence[Any] | None], least: float, fewest: int
) -> Iterable[list[HandedIn]]:
    """Return groups of those whose sets share at least so much of their union with the set of the group's first.

    The same sets are looked up together. Two sets that share a share t of their union have one of the
    n - ceil(t n) + 1 rarest members of either in common.
    """
    same: dict[frozenset[Any], list[HandedIn]] = {}
    for one in ordered:
        if len(listed := tokens_of(one.entry) or ()) >= fewest:
            same.setdefault(frozenset(listed), []).append(one)
    count = Counter(token for tokens in same for token in tokens)
    known: dict[Any, list[frozenset[Any]]] = defaultdict(list)
    groups: dict[frozenset[Any], list[HandedIn]] = {}
    for tokens, those in same.items():
        rare = sorted(tokens, key=lambda token: (count[token], token))[: len(tokens) - _ceil(least * len(tokens)) + 1]
        candidates = Counter(first for token in rare for first in known[token]).most_common(_MOST_CANDIDATES)
        near = [first for first, _ in candidates if _share(tokens, first) >= least]
        if near:
            groups[min(near, key=lambda first: _age(groups[first][0]))] += those
            continue
        groups[tokens] = those
        for token in rare:
            if len(known[token]) < _MOST_KNOWN:
                known[token].append(tokens)
    return [sorted(group, key=_age) for group in groups.values()]


def _ceil(value: float) -> int:
    return -int(-(value - 1e-9) // 1)


def _share(one: frozenset[Any], other: frozenset[Any]) -> float:
    """Return how much of their union two sets share."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _by(one: Entry, other: Entry) -> str:
    if one.recipe == other.recipe:
        return "by the same recipe, which gives the same wherever it is followed"
    return "by another recipe"


def _answers(one: Entry, other: Entry) -> tuple[float, str]:
    first, second = frozenset(one.changes or ()), frozenset(other.changes or ())
    differ = len({change // one.classes for change in first ^ second})
    return _share(first, second), (
        f"{len(first & second)} of the {len(first | second)} answers that differ from the baseline's are the same; of "
        f"all {one.items} answers {differ} differ"
    )


def _tensors(one: Entry, other: Entry) -> tuple[float, str]:
    first, second = frozenset(one.tensors or ()), frozenset(other.tensors or ())
    share = _share(first, second)
    return share, f"{len(first & second)} of {len(first | second)} tensors are the same, {_by(one, other)}"


_TEXTS: Mapping[str, Callable[[Entry, Entry], tuple[float, str]]] = {
    "submission": lambda one, other: (1.0, "the same file"),
    "samples": lambda one, other: (1.0, "the same times to the nanosecond, which two measurements never give"),
    "weights": lambda one, other: (1.0, f"the same weights, {_by(one, other)}"),
    "tensors": _tensors,
    "predictions": lambda one, other: (1.0, f"the same {one.items} answers from other weights"),
    "answers": _answers,
}
