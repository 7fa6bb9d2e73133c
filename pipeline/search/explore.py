"""The rounds of a search: ask for points, have them judged, and go on with what that says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.experiment import JSON
from pipeline.core.search import Rung, Score, SearchSpec, readable_point, rungs, survivors
from pipeline.core.sweep import Point
from pipeline.core.value import text_of

__all__ = ["Ask", "Drawn", "Evaluate", "Found", "Told", "explore"]

Drawn = Mapping[str, JSON]  # axis -> number, as a sampler draws it
Told = tuple[Drawn, Score | None]  # what came of it; None: the point failed

# (all that was told so far, how many more) -> so many draws; None where they are not known
Ask = Callable[[Sequence[Told], int], Sequence[Drawn] | None]
# points that were not asked for before -> their scores, None for those that failed; None where they are not known
Evaluate = Callable[[Sequence[Point]], Sequence[Score | None] | None]


@dataclass
class Found:
    """The points of a search, in the order in which they were first asked for.

    `trials` counts repetitions, too; `rungs` are the rounds of halving as they were. A search that is not complete was
    stopped, or is known up to there only.
    """

    points: list[Point] = field(default_factory=list)
    trials: int = 0
    repeated: int = 0
    rungs: list[Rung] = field(default_factory=list)
    is_complete: bool = False


def explore(spec: SearchSpec, ask: Ask, evaluate: Evaluate) -> Found:
    """Search until all trials were made, or something is not known; no point is evaluated twice."""
    return _halving(spec, ask, evaluate) if spec.resource else _learning(spec, ask, evaluate)


def _learning(spec: SearchSpec, ask: Ask, evaluate: Evaluate) -> Found:
    """Let each round learn from all rounds before.

    A whole round is always asked for: then fewer trials ask for the same points as more of them do.
    """
    found, told, scores = Found(), list[Told](), dict[str, Score | None]()
    while len(told) < spec.trials:
        drawn = ask(told, spec.batch)
        if drawn is None:
            return found
        drawn = drawn[: spec.trials - len(told)]
        points = [readable_point(spec.axes, each) for each in drawn]
        new = {text_of(point): point for point in points if text_of(point) not in scores}
        found.points += new.values()
        found.trials += len(points)
        found.repeated += len(points) - len(new)
        results = evaluate(list(new.values())) if new else ()
        if results is None:
            return found
        scores |= zip(new, results, strict=True)
        told += [(each, scores[text_of(point)]) for each, point in zip(drawn, points, strict=True)]
    found.is_complete = True
    return found


def _halving(spec: SearchSpec, ask: Ask, evaluate: Evaluate) -> Found:
    """Give all points a little of the resource, then the best of them more."""
    found = Found()
    drawn = ask((), spec.trials)
    if drawn is None or spec.resource is None:
        return found
    alive = list({text_of(point): point for point in (readable_point(spec.axes, each) for each in drawn)}.values())
    found.trials, found.repeated = len(drawn), len(drawn) - len(alive)
    for rung in rungs(spec):
        points = [{**point, spec.resource.axis: rung.resource} for point in alive[: rung.points]]
        if not points:
            break
        found.points += points
        found.rungs.append(Rung(rung.resource, len(points)))
        scores = evaluate(points)
        if scores is None:
            return found
        following = _points_after(spec, rung)
        alive = [alive[place] for place in survivors(scores, following)]
    found.is_complete = True
    return found


def _points_after(spec: SearchSpec, rung: Rung) -> int:
    """Return how many points the round after this one has, 0 after the last."""
    planned = rungs(spec)
    place = planned.index(rung)
    return planned[place + 1].points if place + 1 < len(planned) else 0
