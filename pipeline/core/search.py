"""Searches for points of a space that is too large to list: what is asked for, and what of it is no sampler's business.

A search goes in rounds. Each asks for some points, has them judged, and learns from that. `tpe` and `nsga2` go on until
they have had all their trials; `halving` draws all points at once, gives each a little of a resource (epochs, say), and
goes on with the best of them and more of it. What is drawn is left to `pipeline.search`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.draw import readable
from pipeline.core.experiment import JSON
from pipeline.core.value import canonical

__all__ = [
    "BATCHES",
    "Resource",
    "Rung",
    "Score",
    "SearchSpec",
    "objectives",
    "readable_point",
    "rungs",
    "search_of",
    "seed_of",
    "survivors",
]

# How many points are asked for at once, unless the file says it: what is asked for at once cannot learn from each
# other, but runs in parallel. For nsga2 it is a generation.
BATCHES = {"tpe": 4, "nsga2": 10}


@dataclass(frozen=True)
class Resource:
    """What halving gives to points: the axis, its least and largest value, and the factor from round to round."""

    axis: str
    min: float
    max: float
    factor: float


@dataclass(frozen=True)
class SearchSpec:
    """A search as the file says it: `axes` maps names to distributions (see `pipeline.core.draw`).

    `trials` is the number of points asked for, of halving in its first round. `resource` is None but for halving.
    """

    strategy: str
    trials: int
    seed: int
    batch: int
    axes: Mapping[str, Mapping[str, JSON]]
    resource: Resource | None

    @property
    def most_points(self) -> int:
        """The largest number of points that are evaluated: repetitions, which cost nothing, counted."""
        return sum(rung.points for rung in rungs(self)) if self.resource else self.trials


@dataclass(frozen=True)
class Rung:
    """One round of halving: the value of the resource axis, and the number of points that get it."""

    resource: JSON
    points: int


@dataclass(frozen=True)
class Score:
    """What a judge says of a point: see `pipeline.submission.select.judge`. Smaller is better in every field."""

    violated: int
    undecided: int
    wishes: tuple[float, ...]
    ties: tuple[float, ...]
    excess: tuple[float, ...]

    @property
    def order(self) -> tuple[Any, ...]:
        """What points are sorted by, the best first: as the submitted point is chosen."""
        return self.violated, self.undecided, self.wishes, self.ties

    def to_json(self) -> dict[str, JSON]:
        """Return the score as JSON values."""
        return {
            "violated": self.violated,
            "undecided": self.undecided,
            "wishes": list(self.wishes),
            "ties": list(self.ties),
            "excess": list(self.excess),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Score:
        """Rebuild a score from what a judge or `to_json` gave."""
        lists = (tuple(data[name]) for name in ("wishes", "ties", "excess"))
        return cls(data["violated"], data["undecided"], *lists)


def search_of(document: Mapping[str, JSON]) -> SearchSpec | None:
    """Return the search that an experiment's document (defaults filled) asks for, None if its points are listed."""
    search = (document.get("sweep") or {}).get("search")
    if search is None:
        return None
    strategy, trials, resource = search["strategy"], search["trials"], search.get("resource")
    return SearchSpec(
        strategy=strategy,
        trials=trials,
        seed=search["seed"],
        batch=trials if strategy == "halving" else search.get("batch") or BATCHES[strategy],
        axes={
            name: {key: canonical(value) for key, value in distribution.items() if value is not None}
            for name, distribution in search["axes"].items()
        },
        resource=Resource(resource["axis"], *(canonical(resource[key]) for key in ("min", "max", "factor")))
        if resource
        else None,
    )


def rungs(spec: SearchSpec) -> tuple[Rung, ...]:
    """Return the rounds of halving: the resource grows by its factor, the last time up to `max`; points become fewer.

    Where both ends are whole numbers, what is between is rounded to whole ones. The last round has at least one point.
    """
    if spec.resource is None:
        return ()
    low, high, factor = spec.resource.min, spec.resource.max, spec.resource.factor
    is_whole = float(low).is_integer() and float(high).is_integer()
    steps = max(1, math.floor(math.log(high / low, factor) + 1e-9))
    between = (low * factor**number for number in range(1, steps))
    values = [low, *(round(value) if is_whole else float(f"{value:.4g}") for value in between), high]
    return tuple(
        Rung(canonical(value), max(1, math.floor(spec.trials / factor**number))) for number, value in enumerate(values)
    )


def survivors(scores: Sequence[Score | None], count: int) -> tuple[int, ...]:
    """Return which points go on to the next round, by their places in order: the best; None has failed and does not."""
    ranked = sorted((score.order, place) for place, score in enumerate(scores) if score is not None)
    return tuple(sorted(place for _, place in ranked[:count]))


def objectives(goals: Sequence[Mapping[str, Any]], strategy: str) -> tuple[str, ...]:
    """Return what is searched for in words, in order: the wishes of the goals, of which tpe and halving take the first.

    Limits are constraints in every strategy.
    """
    signs = ("minimize", "maximize")
    wishes = [f"{key} {goal[key]}" for goal in goals for key in signs if goal.get(key) is not None]
    wishes = wishes or ["minimize size_bytes"]
    return tuple(wishes if strategy == "nsga2" else wishes[:1])


def readable_point(axes: Mapping[str, Mapping[str, JSON]], drawn: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a point from raw draws: numbers of ranges rounded as random axes are, places of `choice` replaced."""
    return {name: canonical(readable(distribution, drawn[name])) for name, distribution in axes.items()}


def seed_of(seed: int, number: int) -> int:
    """Return the seed (32 bits) of one trial: a search that goes on after an interruption draws the same points."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
