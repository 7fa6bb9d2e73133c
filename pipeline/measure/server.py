"""The scenario server inside the timed process: queries of one sample arrive at random times and one thread answers.

The load is open: when queries arrive is fixed before a trial, and a latency counts from there, so that waiting counts
and a slow answer delays no arrival. Whatever is due is answered together, up to the batch size. The thread keeps its
books itself, about 1 µs a call, which counts as work. What is decided from
trials is `pipeline.measure.rate`; what they say is `pipeline.measure.serving`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.clock import wall_ns
from pipeline.measure.rate import RETREATS, Search, arrivals, likely_rate, orders, search_s, tolerated, trial_queries

__all__ = ["Demand", "Measured", "Pool", "Served", "State", "measure", "serve"]

Query = NDArray[np.float32]
Answer = NDArray[Any]
Call = Callable[[Query], Answer]

_LEAD_NS = 200_000  # from the start of a trial to time zero
_SLEEP_NS, _AWAKE_NS = 2_000_000, 1_000_000  # gaps longer than the first are slept through, but for the second
_KEPT = 24  # answers of a trial, spread evenly
_MOST_QUERIES = 20_000  # of a trial: beyond that another pattern of arrivals says more
_PROBE_NS = 30_000_000  # on each arm and kind of reading, and at least so many readings
_FEWEST_READINGS = 3
_SATURATED_NS = 4_000_000  # of single calls: about the length of one reading of what can be sustained
_FAST = 0.1
_SLOWEST = 64.0  # a search goes down to this part of where it starts
_ROUNDS = 4  # trials of each arm at a rate that is given
_SETTLING = 3  # untimed calls before a trial
_FEWEST = 10  # queries that are worth a trial at a rate that is given


@dataclass(frozen=True)
class Demand:
    """What is asked of a server: `rate_per_s` None searches. `seconds` may be spent, `most_s` at most.

    `needed[t]` is how many queries a trial needs in all to meet the limit with t of them over it.
    """

    limit_ns: float
    batch_size: int
    needed: Sequence[int]
    seconds: float
    most_s: float
    rate_per_s: float | None = None

    @property
    def least_queries(self) -> int:
        """The queries a trial needs for its percentile: one over the limit is tolerated."""
        return self.needed[1]


class Pool:
    """Samples side by side in memory, so that those of any query and the next ones are a batch without copying."""

    def __init__(self, queries: Sequence[Query], batch_size: int) -> None:
        samples = np.concatenate(list(queries))
        self.size = len(samples)
        rounds = 1 + -(-batch_size // self.size)
        self._samples = np.concatenate([samples] * rounds)[: self.size + batch_size]

    def batch(self, first: int, count: int) -> Query:
        """Return the samples of `count` queries from number `first` on, going round."""
        start = first % self.size
        view: Query = self._samples[start : start + count]
        return view


class Served(NamedTuple):
    """One trial: latencies in ns of the queries that were answered, in order, how many were over, answers to check.

    `answered_ns` is when the last one was answered. Answers are (first query, queries, output).
    """

    latency_ns: NDArray[np.int64]
    over: int
    answered_ns: int
    answers: list[tuple[int, int, Answer]]


def serve(
    call: Call,
    pool: Pool,
    due_ns: Sequence[int],
    demand: Demand,
    most_over: int,
    clock: Callable[[], int] = wall_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Served:
    """Answer queries that arrive at `due_ns` (increasing, from the trial's time zero) with one thread.

    Ends after the last one, or once more than `most_over` were over the limit. `clock` (ns) and `sleep` (s) are for
    tests.
    """
    count, batch_size, limit_ns = len(due_ns), demand.batch_size, demand.limit_ns
    lasts: list[int] = []
    ends_ns: list[int] = []
    answers: list[tuple[int, int, Answer]] = []
    every = max(1, count // _KEPT)
    over = first = now = 0
    zero = clock() + _LEAD_NS
    while first < count and over <= most_over:
        due = due_ns[first]
        while (now := clock() - zero) < due:
            if due - now > _SLEEP_NS:
                sleep((due - now - _AWAKE_NS) / 1e9)
        last = first + 1
        while last < count and last - first < batch_size and due_ns[last] <= now:
            last += 1
        answer = call(pool.batch(first, last - first))
        now = clock() - zero
        lasts.append(last)
        ends_ns.append(now)
        if now - due_ns[first] > limit_ns:  # the one that waited longest
            over += sum(now - due > limit_ns for due in due_ns[first:last])
        if first // every >= len(answers):
            answers.append((first, last - first, answer))
        first = last
    ended_ns = np.repeat(np.array(ends_ns, dtype=np.int64), np.diff(lasts, prepend=0))
    return Served(ended_ns - np.array(due_ns[:first], dtype=np.int64), over, now, answers)


@dataclass
class State:
    """What is known of one arm so far.

    `call_ns` is the time of a call of one sample, by the fastest tenth of some; `most_per_s` is how many queries are
    answered if they are all there, by the median of some trials. `served` are the trials at `rate_per_s`: the one that
    confirmed what a search found, or all at a rate that was given; `reason` says why there is no rate.
    """

    call_ns: float = 0.0
    most_per_s: float = 0.0
    rate_per_s: float | None = None
    reason: str | None = None
    trials: int = 0
    served: list[Served] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what the parent summarizes."""
        return {
            "rate_per_s": self.rate_per_s,
            "reason": self.reason,
            "trials": self.trials,
            "over": sum(one.over for one in self.served),
            "latency_ns": [latency for one in self.served for latency in one.latency_ns.tolist()],
            "served_ns": sum(one.answered_ns for one in self.served),
            "call_ns": self.call_ns,
            "most_per_s": self.most_per_s,
        }


@dataclass(frozen=True)
class Measured:
    """The arms' states and the number of queries of each trial."""

    queries: int
    states: Sequence[State]
    pool: Pool

    def to_json(self, arms: Sequence[str]) -> dict[str, Any]:
        """Return the result by arm."""
        found = {arm: state.to_json() for arm, state in zip(arms, self.states, strict=True)}
        return {"queries": self.queries, "arms": found}

    def answers(self, arm: int) -> tuple[list[Query], dict[int, Answer]]:
        """Return what some calls of an arm's last trial were asked, and the answers by their number."""
        kept = self.states[arm].served[-1].answers if self.states[arm].served else []
        asked = [self.pool.batch(first, count) for first, count, _ in kept]
        return asked, {number: answer for number, (_, _, answer) in enumerate(kept)}


def measure(calls: Sequence[Call], queries: Sequence[Query], demand: Demand, seed: int) -> Measured:
    """Find the highest rate of every arm, or serve at the rate that is given; the arms take turns.

    The garbage collector is off meanwhile. Deterministic arrivals under `seed`.
    """
    session = _Session(calls, Pool(queries, demand.batch_size), demand, seed)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        session.probe()
        if demand.rate_per_s is None:
            session.search()
        else:
            session.run_at(demand.rate_per_s)
    finally:
        gc.enable()
        gc.unfreeze()
    return Measured(session.queries, session.states, session.pool)


class _Session:
    """The arms with their states, and how many queries a trial has."""

    def __init__(self, calls: Sequence[Call], pool: Pool, demand: Demand, seed: int) -> None:
        self._calls, self._demand, self._seed = calls, demand, seed
        self._deadline_ns = wall_ns() + round(2e9 * demand.most_s)
        self.pool = pool
        self.states = [State() for _ in calls]
        self.queries = 0

    def probe(self) -> None:
        """Time single calls, then let queries that are all there at once be answered: the most that can be sustained.

        A higher rate would meet any limit, if the trial is only short enough for the queue not to grow beyond it.
        """
        turns = orders(len(self._calls), self._seed)
        times = self._collect(turns, self._single_call_ns)
        for state, seen in zip(self.states, times, strict=True):
            state.call_ns = max(float(np.quantile(seen, _FAST)), 1.0)
        rates = self._collect(turns, self._saturated_per_s)
        for state, seen in zip(self.states, rates, strict=True):
            state.most_per_s = float(np.median(seen))

    def _collect(self, turns: Iterator[tuple[int, ...]], read: Callable[[int], float]) -> list[list[float]]:
        """Return readings of each arm in turn, for a while."""
        found: list[list[float]] = [[] for _ in self._calls]
        began = wall_ns()
        while len(found[0]) < _FEWEST_READINGS or wall_ns() - began < _PROBE_NS * len(found):
            for arm in next(turns):
                found[arm].append(read(arm))
        return found

    def _single_call_ns(self, arm: int) -> float:
        began = wall_ns()
        self._calls[arm](self.pool.batch(began, 1))  # one of them, by the clock
        return wall_ns() - began

    def _saturated_per_s(self, arm: int) -> float:
        batches = min(max(int(_SATURATED_NS / self.states[arm].call_ns), 1), self.pool.size)
        count = batches * self._demand.batch_size
        return count * 1e9 / serve(self._calls[arm], self.pool, [0] * count, self._demand, count).answered_ns

    def search(self) -> None:
        """Bisect for every arm's highest rate, all with the same pattern of arrivals, and confirm what was found."""
        starts = self._starts()
        if not starts:
            return
        demand = self._demand
        self.queries = trial_queries(list(starts.values()), demand.seconds, demand.least_queries, _MOST_QUERIES)
        longest_s = demand.most_s / 2  # of a trial
        searches = {}
        for arm, start in starts.items():
            least = min(start, max(start / _SLOWEST, self.queries / longest_s))
            searches[arm] = Search(start, least, self.states[arm].most_per_s)
        due = arrivals(self.queries, self._pattern(0))
        for order in orders(len(self.states), self._seed):
            pending = [arm for arm in order if arm in searches and not searches[arm].is_over]
            if not pending or self._is_late():
                break
            for arm in pending:
                searches[arm] = searches[arm].after(self._can_meet(arm, searches[arm].rate, due))
        self._confirm({arm: search.low for arm, search in searches.items() if search.is_over and search.low})
        for arm, search in searches.items():
            if self.states[arm].rate_per_s is None:
                self.states[arm].reason = self._why_none(search)

    def _starts(self) -> dict[int, float]:
        """Return the rate to try first by arm; an arm that cannot be searched for gets the reason instead."""
        demand = self._demand
        starts = {}
        for arm, state in enumerate(self.states):
            if state.call_ns > demand.limit_ns:
                state.reason = f"a call takes {state.call_ns / 1e6:.3g} ms, more than the limit"
            else:
                starts[arm] = likely_rate(state.call_ns, demand.limit_ns, state.most_per_s)
        at_least_s = search_s(demand.least_queries, list(starts.values()))
        if at_least_s <= demand.most_s:
            return starts
        for arm in starts:
            self.states[arm].reason = (
                f"trials of {demand.least_queries} queries take a process about {at_least_s:.2g} s, and budget_s "
                f"leaves it {demand.most_s:.2g} s"
            )
        return {}

    def _confirm(self, found: Mapping[int, float]) -> None:
        """Serve again at the rates that were found, at lower ones where the limit is missed then.

        Each attempt has another pattern of arrivals, the same for all arms.
        """
        for number, (step, order) in enumerate(zip(RETREATS, orders(len(self.states), self._seed), strict=False), 1):
            due = arrivals(self.queries, self._pattern(number))
            for arm in order:
                state = self.states[arm]
                if arm not in found or state.rate_per_s is not None or self._is_late():
                    continue
                rate = found[arm] / (1.0 + step)
                served = self._trial(arm, rate, due)
                if served is not None:
                    state.rate_per_s, state.served = rate, [served]

    def run_at(self, rate: float) -> None:
        """Serve at a rate in some trials, none of which ends early."""
        demand, arms = self._demand, len(self.states)
        query_s = max(1.0 / rate, *(1.0 / state.most_per_s for state in self.states))
        total = int(demand.seconds / (arms * query_s))
        if total < _FEWEST:
            for state in self.states:
                state.reason = f"a process has time for {total} queries at {_per_s(rate)}; a larger budget_s helps"
            return
        rounds = min(max(total // demand.least_queries, 1), _ROUNDS)
        self.queries = min(total // rounds, _MOST_QUERIES)
        for number, order in zip(range(rounds), orders(arms, self._seed), strict=False):
            due = arrivals(self.queries, self._pattern(number))
            for arm in order:
                state = self.states[arm]
                state.served.append(self._serve(arm, rate, due, most_over=self.queries))
                state.trials += 1
        for state in self.states:
            state.rate_per_s = rate

    def _can_meet(self, arm: int, rate: float, due: NDArray[np.float64]) -> bool:
        """Say whether one of two trials meets the limit: a pause of the host must not send a search far down.

        The same arrivals demand the same again; what this lets pass by luck has to be confirmed.
        """
        return any(self._trial(arm, rate, due) is not None for _ in range(2))

    def _trial(self, arm: int, rate: float, due: NDArray[np.float64]) -> Served | None:
        """Serve at a rate; return what was served if the limit was met, None if not."""
        allowed = tolerated(self.queries, self._demand.needed)
        self.states[arm].trials += 1
        served = self._serve(arm, rate, due, allowed)
        return served if served.over <= allowed else None

    def _serve(self, arm: int, rate: float, due: NDArray[np.float64], most_over: int) -> Served:
        for number in range(_SETTLING):
            self._calls[arm](self.pool.batch(self.pool.size - 1 - number, 1))
        schedule = np.round(due * (1e9 / rate)).astype(np.int64).tolist()
        return serve(self._calls[arm], self.pool, schedule, self._demand, most_over)

    def _why_none(self, search: Search) -> str:
        if not search.is_over:
            return f"the search did not end within {2 * self._demand.most_s:.3g} s; a larger budget_s helps"
        if search.low is None:
            return f"no rate down to {_per_s(search.least)} met the limit"
        lowest = search.low / (1.0 + RETREATS[-1])
        return f"{_per_s(search.low)} met the limit once, but no rate down to {_per_s(lowest)} did so again"

    def _is_late(self) -> bool:
        return wall_ns() > self._deadline_ns

    def _pattern(self, number: int) -> int:
        return self._seed * 1_000 + number


def _per_s(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"
