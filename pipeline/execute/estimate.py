"""How long nodes will take, as far as earlier records tell: those of the same topic whose parameters are the nearest.

Nothing is made up: a node like which none ran before has no estimate, and a sum says how many such nodes it lacks. What
a record says is the stage's own work on the machine where it ran.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pipeline.core.keys import Preimage
from pipeline.core.plan import Node
from pipeline.core.stage import StageInfo
from pipeline.store.local import LocalStore

__all__ = ["Estimator", "Expectation"]

_PROPORTIONAL = ("fit.epochs", "params.epochs")  # what training takes goes with them; early stopping takes less
_NEIGHBOURS = 5  # of equally near records, the newest: an older one may tell of another machine or another program


class Expectation(NamedTuple):
    """The time that nodes are expected to take, in seconds, and how many of them have no estimate and are left out."""

    seconds: float
    unknown: int = 0


class Estimator:
    """Looks up what nodes of the same topic took; records are read once for each topic, when first asked for."""

    def __init__(self, store: LocalStore, stages: Mapping[str, StageInfo]) -> None:
        self._store = store
        self._stages = stages
        self._now = time.time()
        self._records: dict[str, list[tuple[dict[str, Any], float]]] = {}
        self._alike: dict[tuple[str, str], float | None] = {}
        self._known: dict[str, float | None] = {}

    def seconds(self, node: Node) -> float | None:
        """Return what the node is expected to take: the median of its nearest records, or None without any."""
        if node.id not in self._known:
            topic = Preimage(node.stage, 0, node.spec, "", {}, {}).topic
            alike = topic, repr(node.spec)  # the points of a sweep share most of their parameters
            if alike not in self._alike:
                self._alike[alike] = _nearest(self._of_topic(topic), _leaves(node.spec))
            self._known[node.id] = self._alike[alike]
        return self._known[node.id]

    def measures(self, node: Node) -> bool:
        """Return whether the node has to run alone."""
        return self._stages[node.stage].measures

    def expect(
        self, nodes: Iterable[Node], slots: int = 1, elapsed: Callable[[Node], float] = lambda node: 0.0
    ) -> Expectation:
        """Return what these nodes are expected to take together, `slots` at a time but those that measure.

        `elapsed` tells how many seconds of a node's work are done.
        """
        alone = shared = 0.0
        unknown = 0
        for node in nodes:
            seconds = self.seconds(node)
            if seconds is None:
                unknown += 1
                continue
            left = max(seconds - elapsed(node), 0.0)
            if self.measures(node):
                alone += left
            else:
                shared += left
        return Expectation(alone + shared / max(slots, 1), unknown)

    def _of_topic(self, topic: str) -> list[tuple[dict[str, Any], float]]:
        if topic not in self._records:
            records = self._store.recent(topic, self._now)
            self._records[topic] = [(_leaves(record.preimage.params), record.seconds) for record in records]
        return self._records[topic]


def _nearest(records: list[tuple[dict[str, Any], float]], leaves: dict[str, Any]) -> float | None:
    if not records:
        return None
    distances = [_distance(known, leaves) for known, _ in records]
    least = min(distances)
    near = (record for record, distance in zip(records, distances, strict=True) if distance == least)
    nearest = [seconds * _times_the_work(known, leaves) for known, seconds in near]
    newest = sorted(nearest[:_NEIGHBOURS])
    return newest[len(newest) // 2]


def _times_the_work(known: dict[str, Any], leaves: dict[str, Any]) -> float:
    """Return how many times the work of a known computation another one is."""
    factor = 1.0
    for name in _PROPORTIONAL:
        before, after = known.get(name), leaves.get(name)
        if isinstance(before, int) and isinstance(after, int) and before > 0 < after:
            factor *= after / before
    return factor


def _distance(one: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())


def _leaves(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters two levels deep by their dotted names; a submission's are much deeper, and say little."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            found[name] = value
    return found
