"""What a live view shows, without how: which nodes run and since when, how many have ended, how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.core.event import Event
from pipeline.core.plan import Node
from pipeline.execute.estimate import Estimator, Expectation

__all__ = ["Board", "Running", "duration"]


@dataclass(frozen=True)
class Running:
    """A node at work: since when on the board's clock, and how many seconds it is expected to take, if known."""

    label: str
    since: float
    expected: float | None
    measures: bool
    attempt: int


class Board:
    """Keeps count of a run. `slots` is how many nodes run at a time; one that measures runs alone."""

    def __init__(self, estimator: Estimator, slots: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self.running: dict[str, Running] = {}
        self._estimator = estimator
        self._slots = max(slots, 1)
        self._clock = clock
        self._open: dict[str, Node] = {}
        self._ended: set[str] = set()
        self._shared = self._alone = 0.0
        self._unknown = 0

    @property
    def total(self) -> int:
        """Return how many nodes there are."""
        return len(self._open) + len(self._ended)

    @property
    def done(self) -> int:
        """Return how many nodes have ended, in whatever way."""
        return len(self._ended)

    def add(self, nodes: Iterable[Node], ended: Iterable[str] = ()) -> None:
        """Add the nodes of a plan; what is there already stays as it is. `ended` are ids of nodes that have ended."""
        self._ended.update(ended)
        for node in nodes:
            if node.id not in self._open and node.id not in self._ended:
                self._open[node.id] = node
                self._count(node, 1)

    def start(self, event: Event) -> None:
        """Note that a node has started, or has started again."""
        node = self._open.get(event.node)
        expected = self._estimator.seconds(node) if node else None
        self.running[event.node] = Running(event.label, self._clock(), expected, event.measures, event.attempt)

    def end(self, event: Event) -> None:
        """Note that a node has ended."""
        self.running.pop(event.node, None)
        if node := self._open.pop(event.node, None):
            self._count(node, -1)
        self._ended.add(event.node)

    def elapsed(self, one: Running) -> float:
        """Return for how many seconds a node has been running."""
        return self._clock() - one.since

    def left(self) -> Expectation:
        """Return how long the rest takes, if every node that has not ended has to run."""
        begun = [(one, min(self.elapsed(one), one.expected)) for one in self.running.values() if one.expected]
        alone = self._alone - sum(seconds for one, seconds in begun if one.measures)
        shared = self._shared - sum(seconds for one, seconds in begun if not one.measures)
        return Expectation(max(alone, 0.0) + max(shared, 0.0) / self._slots, self._unknown)

    def _count(self, node: Node, sign: int) -> None:
        seconds = self._estimator.seconds(node)
        if seconds is None:
            self._unknown += sign
        elif self._estimator.measures(node):
            self._alone += sign * seconds
        else:
            self._shared += sign * seconds


def duration(seconds: float) -> str:
    """Return a time in words, as exactly as an estimate deserves: 0.4 s, 34 s, 12 min, 3.4 h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
