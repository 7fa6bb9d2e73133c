"""The rounds of a search with a sampler and judges that are plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.core.search import Resource, Rung, Score, SearchSpec
from pipeline.core.sweep import Point
from pipeline.search.explore import Ask, Drawn, Evaluate, Found, Told, explore

SPEC = SearchSpec("tpe", 10, 0, 4, {"x": {"integers": [0, 99]}}, None)
HALVING = SearchSpec("halving", 9, 0, 9, {"x": {"integers": [0, 99]}}, Resource("epochs", 1, 9, 3))


def score(value: float) -> Score:
    return Score(0, 0, (value,), (0.0, 0.0), ())


class Recorder:
    """Draws 0, 1, 2, … (modulo `distinct`), scores a point by its x, and remembers all that it was asked and told."""

    def __init__(self, distinct: int = 100, failing: Sequence[int] = (), rounds: int = 99) -> None:
        self.told: list[list[Told]] = []
        self.evaluated: list[list[Point]] = []
        self._distinct, self._failing, self._rounds = distinct, failing, rounds

    def ask(self, told: Sequence[Told], count: int) -> list[Drawn]:
        self.told.append(list(told))
        return [{"x": (len(told) + place) % self._distinct} for place in range(count)]

    def evaluate(self, points: Sequence[Point]) -> list[Score | None] | None:
        self.evaluated.append(list(points))
        if len(self.evaluated) > self._rounds:
            return None
        return [None if point["x"] in self._failing else score(-point["x"]) for point in points]


def run(spec: SearchSpec, recorder: Recorder) -> Found:
    ask: Ask = recorder.ask
    evaluate: Evaluate = recorder.evaluate
    return explore(spec, ask, evaluate)


def test_each_round_is_told_all_before() -> None:
    """Whole rounds are asked for; of the last one only what is left is evaluated."""
    recorder = Recorder()
    found = run(SPEC, recorder)
    assert [len(told) for told in recorder.told] == [0, 4, 8]
    assert [len(points) for points in recorder.evaluated] == [4, 4, 2]
    assert recorder.told[1][3] == ({"x": 3}, score(-3))
    assert found == Found([{"x": x} for x in range(10)], 10, 0, [], True)


def test_a_repeated_point_is_not_evaluated_again() -> None:
    """The sampler is told what it came to the first time."""
    recorder = Recorder(distinct=3)
    found = run(SPEC, recorder)
    assert recorder.evaluated == [[{"x": 0}, {"x": 1}, {"x": 2}]]
    assert recorder.told[2][7] == ({"x": 1}, score(-1))
    assert (found.points, found.trials, found.repeated) == ([{"x": 0}, {"x": 1}, {"x": 2}], 10, 7)


def test_a_failed_point_is_told_as_such() -> None:
    """The search goes on without it."""
    recorder = Recorder(failing=[2])
    found = run(SPEC, recorder)
    assert recorder.told[1][2] == ({"x": 2}, None)
    assert found.is_complete


def test_what_is_not_known_ends_a_search() -> None:
    """With the points it has asked for up to there."""
    found = run(SPEC, Recorder(rounds=1))
    assert not found.is_complete
    assert [point["x"] for point in found.points] == list(range(8))
    unknown = explore(SPEC, lambda told, count: None, Recorder().evaluate)
    assert unknown == Found()


def test_halving_goes_on_with_the_best() -> None:
    """Each round has more of the resource and the best of the round before."""
    recorder = Recorder()
    found = run(HALVING, recorder)
    assert recorder.told == [[]]
    assert [[point["x"] for point in points] for points in recorder.evaluated] == [list(range(9)), [6, 7, 8], [8]]
    assert [points[0]["epochs"] for points in recorder.evaluated] == [1, 3, 9]
    assert found.rungs == [Rung(1, 9), Rung(3, 3), Rung(9, 1)]
    assert (len(found.points), found.trials, found.is_complete) == (13, 9, True)


def test_halving_leaves_out_what_failed_and_what_repeats() -> None:
    """Fewer points than planned go on; none at all end the search."""
    recorder = Recorder(distinct=4, failing=[0, 1, 3])
    found = run(HALVING, recorder)
    assert [[point["x"] for point in points] for points in recorder.evaluated] == [[0, 1, 2, 3], [2], [2]]
    assert (found.trials, found.repeated) == (9, 5)
    assert found.rungs == [Rung(1, 4), Rung(3, 1), Rung(9, 1)]
    nothing = run(replace(HALVING, trials=2, batch=2), Recorder(failing=[0, 1]))
    assert (nothing.rungs, nothing.is_complete) == ([Rung(1, 2)], True)
