"""Time several arms against each other in one process: calibrate, warm up, interleave, keep everything that was read.

An arm is a set of callables that take a query: equal copies at different places in memory. What an arm means (a model,
a peer's session) and what the samples say are other files' business. A query may be more than an arm takes in one
call: it is then worked off part by part, and its time is that of all parts. Nothing is dropped here: the recording
holds every sample with its wall and CPU time.
"""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.clock import Clock, cpu_ns, wall_ns
from pipeline.measure.job import Phases
from pipeline.measure.settling import settle

__all__ = ["Arm", "Recording", "parts", "record", "undisturbed"]

Query = NDArray[np.float32]
Answer = NDArray[Any]
Call = Callable[[Any], Any]  # from a query, or its parts, to the answer, or theirs

_TRIALS = 7  # of a calibration; their minimum counts, so that one preempted trial cannot end it with loops = 1
_FIRST_CALLS_NS = 50_000_000  # copies that would take longer to call once are given up
_LONG_NS = 50_000_000  # beyond this, what the arm before left in the caches is a small part of a sample
_TAIL_RUN = 16  # single calls of an arm in a row, after an untimed one
_TAIL_CALLS = 1_200  # of each arm in a process: six processes reach the 6,636 that p99.9 asks for


@dataclass(frozen=True)
class Arm:
    """A name and what is timed: copies that differ in nothing but their place in memory.

    Equal models of about the size of a cache differ by 2 to 4 % in speed, and stay so, depending on the physical pages
    they got (measured: 1.2 MB of weights, a 1 MB L2 cache, ten copies in one process; halves of the run correlate at
    0.98). Rotating over copies averages that within a process: what is left between processes falls from 4 % with the
    square root of the number of copies.
    """

    name: str
    copies: Sequence[Call]


@dataclass(frozen=True)
class Recording:
    """Everything one process saw. Arrays are indexed [row, arm]; a row is one sample of each arm, close in time.

    `order[row]` lists the arms as they ran, `copy[row]` is the number of the copies that did. `wall_ns` and `cpu_ns`
    are of a whole sample of `loops` calls, of which `empty_ns` was the loop itself. `cold_ns` is the process's very
    first call, of arm number `first`. `tail_ns` are single calls, of each arm; `answers` the last output of each arm
    to some queries by number, for checking.
    """

    arms: tuple[str, ...]
    copies: int
    loops: int
    empty_ns: int
    windows: int
    steady: bool
    first: int
    cold_ns: int
    order: NDArray[np.int8]
    copy: NDArray[np.int8]
    wall_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    tail_ns: tuple[NDArray[np.int64], ...]
    answers: tuple[Mapping[int, Answer], ...]


def record(
    arms: Sequence[Arm],
    queries: Sequence[Query],
    clock: Clock,
    phases: Phases,
    seed: int,
    loops: int | None = None,
    first: int = 0,
    batch_size: int | None = None,
) -> Recording:
    """Time the arms on rotating `queries` and return what was read.

    A call takes at most `batch_size` samples of a query (samples, ...), None all of them; calls of one query must not
    return the same buffer.
    `loops` None calibrates: enough calls for the fastest arm's sample to last `clock.sample_ns`, the same for all.
    Arm number `first` makes the process's first call, the only one that is cold. The garbage collector is frozen
    meanwhile. Deterministic order under `seed`. Raises ValueError unless all arms have equally many copies.
    """
    if len({len(arm.copies) for arm in arms}) != 1:
        raise ValueError("all arms need the same number of copies")
    session = _Session(*_in_parts(arms, queries, batch_size))
    cold = session.first_calls(first)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        calls = loops if loops is not None else session.calibrate(clock.sample_ns)
        windows, steady = session.warm_up(calls, phases.warmup_s, _random(seed, "warm-up"))
        rows = session.interleave(calls, phases.service_s, _random(seed, "service"))
        wall = np.array([row.wall_ns for row in rows], dtype=np.int64)
        tail = wall.T[:, : len(rows) if calls == 1 else 0]
        if calls > 1 or len(rows) < phases.tail_least:
            most = _TAIL_CALLS if calls > 1 else phases.tail_least - len(rows)
            tail = np.hstack([tail, session.tail(phases.latency_s, _random(seed, "tail"), most)])
    finally:
        gc.enable()
        gc.unfreeze()
    return Recording(
        arms=tuple(arm.name for arm in arms),
        copies=session.copies,
        loops=calls,
        empty_ns=session.empty_loop(calls),
        windows=windows,
        steady=steady,
        first=first,
        cold_ns=cold,
        order=np.array([row.order for row in rows], dtype=np.int8),
        copy=np.array([row.copy for row in rows], dtype=np.int8),
        wall_ns=wall,
        cpu_ns=np.array([row.cpu_ns for row in rows], dtype=np.int64),
        tail_ns=tuple(np.ascontiguousarray(row) for row in tail),
        answers=tuple(session.answers),
    )


def undisturbed(wall: NDArray[np.int64], cpu: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell the samples in which the thread ran throughout: wall − CPU time is at most max(2 µs, 1 % of wall)."""
    kept: NDArray[np.bool_] = wall - cpu <= np.maximum(2_000, wall // 100)
    return kept


class _Row(NamedTuple):
    """One sample of each arm: the order they ran in, the number of their copies, wall and CPU time by arm."""

    order: tuple[int, ...]
    copy: int
    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]


class _Session:
    """The arms, the queries, which copy is in use, and where in the rotation of queries the next sample starts."""

    def __init__(self, arms: Sequence[Arm], queries: Sequence[Any]) -> None:
        self._copies = [tuple(arm.copies[copy] for arm in arms) for copy in range(len(arms[0].copies))]
        self._copy = 0
        self._calls = self._copies[0]
        self._queries = list(queries)
        self._next = 0
        self._length_ns = [0] * len(arms)  # of each arm's last sample
        self.answers: list[dict[int, Answer]] = [{} for _ in arms]

    @property
    def copies(self) -> int:
        """How many copies of each arm are in use."""
        return len(self._copies)

    def first_calls(self, first: int) -> int:
        """Call every copy once, which pays for what is prepared lazily; return the time of the very first call.

        Only one call of a process is cold: those of other arms find the interpreter and the libraries warm (measured:
        a third of its time). Calls so slow that the copies would take too long have few of them: such a model waits
        for its arithmetic, not for its place in memory.
        """
        began = wall_ns()
        cold, _, _ = _sample(self._calls[first], self._queries[:1])
        used = 0
        while not used or (used < len(self._copies) and wall_ns() - began < _FIRST_CALLS_NS):
            for arm, call in enumerate(self._copies[used]):
                if used or arm != first:
                    call(self._queries[0])
            used += 1
        del self._copies[used:]
        return cold

    def calibrate(self, sample_ns: int) -> int:
        """Return the number of calls for which a sample of every arm lasts at least `sample_ns`."""
        loops = 1
        for call in self._calls:
            while (least := self._least(call, loops, sample_ns)) < sample_ns:
                loops = max(loops + 1, int(loops * min(10.0, 1.1 * sample_ns / max(least, 1))))
        return loops

    def warm_up(self, loops: int, seconds: float, rng: random.Random) -> tuple[int, bool]:
        """Run windows of rows of one copy until the times of every arm settle; return their number and success."""
        rows = itertools.chain.from_iterable(self._cycle(loops, rng) for _ in itertools.count())
        return settle(lambda: next(rows).wall_ns, seconds)

    def interleave(self, loops: int, seconds: float, rng: random.Random) -> list[_Row]:
        """Collect whole cycles of rows for `seconds`, one cycle at least, each with the next copy of every arm."""
        deadline = wall_ns() + round(seconds * 1e9)
        rows: list[_Row] = []
        while not rows or wall_ns() < deadline:
            self._next_copy()
            rows += self._cycle(loops, rng)
        return rows

    def tail(self, seconds: float, rng: random.Random, most: int) -> NDArray[np.int64]:
        """Time up to `most` single queries of each arm, in short runs, for `seconds`; return (arms, queries)."""
        deadline = wall_ns() + round(seconds * 1e9)
        tails: list[list[int]] = [[] for _ in self._calls]
        while not tails[0] or (wall_ns() < deadline and len(tails[0]) < most):
            self._next_copy()
            for arm in rng.sample(range(len(tails)), len(tails)):
                _sample(self._calls[arm], self._chunk(1))
                for _ in range(_TAIL_RUN):
                    tails[arm].append(_sample(self._calls[arm], self._chunk(1))[0])
        return np.array(tails, dtype=np.int64)

    def empty_loop(self, loops: int) -> int:
        """Return what a sample of `loops` calls costs without the calls: the least of several trials."""
        return min(_sample_nothing(self._chunk(loops)) for _ in range(10 * _TRIALS))

    def _least(self, call: Call, loops: int, sample_ns: int) -> int:
        """Return the shortest of several trials; one is enough if it was long even on the CPU."""
        least, cpu = _sample(call, self._chunk(loops))[:2]
        trials = 1 if cpu > 10 * sample_ns else _TRIALS
        return min([least, *(_sample(call, self._chunk(loops))[0] for _ in range(trials - 1))])

    def _cycle(self, loops: int, rng: random.Random) -> Iterator[_Row]:
        """Time one row for each order of a Latin square and for its mirror image.

        Every arm stands once at every place, and for three arms every arm follows every other equally often. A row
        and its mirror are neighbours (ABBA), which cancels a linear drift; their order is random.
        """
        arms = len(self._calls)
        first = rng.sample(range(arms), arms)
        for shift in rng.sample(range(arms), arms):
            order = first[shift:] + first[:shift]
            for mirrored in rng.sample([order, order[::-1]], 2):
                yield self._row(mirrored, loops)

    def _row(self, order: Sequence[int], loops: int) -> _Row:
        """Time one sample of each arm on the same queries."""
        settling = self._queries[self._next - 2]  # neither the sample's first query nor the one before it
        last = (self._next + loops - 1) % len(self._queries)
        chunk = self._chunk(loops)
        cpu = [0] * len(order)
        for arm in order:
            if self._length_ns[arm] < _LONG_NS:
                self._calls[arm](settling)  # untimed: a sample must not pay for what the arm before it evicted
            self._length_ns[arm], cpu[arm], answer = _sample(self._calls[arm], chunk)
            self.answers[arm][last] = _copied(answer)  # the arm may use its buffer again
        return _Row(tuple(order), self._copy, tuple(self._length_ns), tuple(cpu))

    def _next_copy(self) -> None:
        self._copy = (self._copy + 1) % len(self._copies)
        self._calls = self._copies[self._copy]

    def _chunk(self, count: int) -> list[Any]:
        """Return the next `count` queries, going round."""
        size = len(self._queries)
        chunk = [self._queries[(self._next + i) % size] for i in range(count)]
        self._next = (self._next + count) % size
        return chunk


def parts(query: Query, batch_size: int) -> tuple[Query, ...]:
    """Return views of a query (samples, ...) with at most `batch_size` samples each, in order."""
    return tuple(query[start : start + batch_size] for start in range(0, len(query), batch_size))


def _in_parts(
    arms: Sequence[Arm], queries: Sequence[Query], batch_size: int | None
) -> tuple[Sequence[Arm], Sequence[Any]]:
    """Return arms that take a query as its parts, and such queries; both as they are if every query is one part.

    The parts are made here, before anything is timed.
    """
    if batch_size is None or all(len(query) <= batch_size for query in queries):
        return arms, queries
    split = [Arm(arm.name, [_part_by_part(call) for call in arm.copies]) for arm in arms]
    return split, [parts(query, batch_size) for query in queries]


def _part_by_part(call: Call) -> Call:
    return lambda query: [call(part) for part in query]


def _copied(answer: Answer | list[Answer] | None) -> Answer:
    return np.concatenate(answer) if isinstance(answer, list) else np.array(answer)


def _random(seed: int, phase: str) -> random.Random:
    """Return a generator of its own for each phase: how long one took must not change the next."""
    return random.Random(f"{seed} {phase}")


def _sample(call: Call, chunk: Sequence[Any]) -> tuple[int, int, Any]:
    """Return wall time, CPU time and the last answer; CPU time includes reading the wall clock, not the reverse."""
    answer = None
    cpu = cpu_ns()
    start = wall_ns()
    for query in chunk:
        answer = call(query)
    wall = wall_ns() - start
    return wall, cpu_ns() - cpu, answer


def _sample_nothing(chunk: Sequence[Any]) -> int:
    start = wall_ns()
    for query in chunk:
        answer = query
    wall = wall_ns() - start
    del answer
    return wall
