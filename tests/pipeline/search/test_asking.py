"""What a search asks for is remembered by what it was told; what is remembered wrongly does no harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", minversion="5.0")

from pipeline.core.search import Score, SearchSpec
from pipeline.core.sweep import Point
from pipeline.search import asking
from pipeline.search.asking import Asking
from pipeline.search.explore import explore
from pipeline.search.study import Diverged
from pipeline.store.local import LocalStore

SPEC = SearchSpec("tpe", 16, 3, 4, {"x": {"uniform": [0.0, 1.0]}, "kind": {"choice": ["a", "b"]}}, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty store."""
    opened = LocalStore(tmp_path / "store")
    yield opened
    opened.close()


def judged(points: Sequence[Point]) -> list[Score | None]:
    return [Score(0, 0, (abs(point["x"] - 0.3),), (0.0, 0.0), ()) for point in points]


def search(asker: Asking, spec: SearchSpec = SPEC) -> list[Point]:
    return explore(spec, asker, judged).points


def test_a_search_that_was_made_needs_no_sampler(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that could be imported; and what was not asked for is not known."""
    points = search(Asking(SPEC, 1, store))
    monkeypatch.setattr(asking, "Study", None)
    assert search(Asking(SPEC, 1, store)) == points
    assert search(Asking(SPEC, 1, store, only_known=True)) == points
    more = explore(replace(SPEC, trials=30), Asking(SPEC, 1, store, only_known=True), judged)
    assert (more.points, more.is_complete) == (points, False)


def test_more_trials_keep_the_first_ones(store: LocalStore, tmp_path: Path) -> None:
    """Whether the first ones were a search of their own or not, also in the middle of a round."""
    few = search(Asking(SPEC, 1, store), replace(SPEC, trials=10))
    more = search(Asking(SPEC, 1, store))
    assert more[: len(few)] == few
    other = LocalStore(tmp_path / "other")
    assert search(Asking(SPEC, 1, other)) == more
    other.close()


def test_without_memory_the_journal_answers(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts may be lost without harm."""
    points = search(Asking(SPEC, 1, store))
    monkeypatch.setattr(LocalStore, "recall", lambda self, kind, name: None)
    assert search(Asking(SPEC, 1, store)) == points


def test_without_memory_and_journal_the_same_is_asked_again(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search depends on its results alone."""
    points = search(Asking(SPEC, 1, store))
    for path in (store.root / "search").iterdir():
        path.unlink()
    monkeypatch.setattr(LocalStore, "recall", lambda self, kind, name: None)
    assert search(Asking(SPEC, 1, store)) == points


def test_a_memory_that_is_wrong_is_not_trusted_again(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it proves wrong, the search begins anew and asks for everything."""
    points = search(Asking(SPEC, 1, store), replace(SPEC, trials=4))
    recall = LocalStore.recall

    def wrong(self: LocalStore, kind: str, name: str) -> Any:
        known = recall(self, kind, name)
        return [{**known[0], "x": 0.5}, *known[1:]] if kind == "asked" and known else known

    monkeypatch.setattr(LocalStore, "recall", wrong)
    asker = Asking(SPEC, 1, store)
    with pytest.raises(Diverged):
        search(asker)
    assert search(asker)[:4] == points


def test_searches_do_not_mix(store: LocalStore) -> None:
    """Another seed, space, strategy, batch or number of objectives is another search, with a journal of its own."""
    others = [
        replace(SPEC, seed=4),
        replace(SPEC, axes={"x": {"uniform": [0.0, 2.0]}, "kind": {"choice": ["a", "b"]}}),
        replace(SPEC, strategy="nsga2"),
        replace(SPEC, batch=2),
    ]
    for number, spec in enumerate([SPEC, *others], start=1):
        search(Asking(spec, 1, store), replace(spec, trials=4))
        assert len(list((store.root / "search").glob("*.journal"))) == number
