"""The scenario generate inside the timed process: prompts are continued greedily, models take turns, phases are timed.

A query is a batch of prompts. Its first tokens end the time to first token (TTFT), the other ones are decoded in steps;
the steps' time by token is MLPerf's time per output token (TPOT). The three arms are timed in rows as `harness` does
it, one generation each; then every variant, a model with a kind of cache, in rounds of its own.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.clock import cpu_ns, wall_ns
from pipeline.measure.settling import settle
from tinytorch.runtime.generation import Generation

__all__ = [
    "CACHES",
    "Demand",
    "MODELS",
    "Once",
    "Rows",
    "Variants",
    "generated",
    "time_arms",
    "time_variants",
    "variant",
]

Ids = NDArray[np.int32]
Cache = str | None

CACHES: dict[str, Cache] = {"none": None, "float32": "float32", "int8": "int8"}
MODELS = ("baseline", "optimized")

_ROWS_OF_A_COPY = 6  # a cycle of orders
_WARM_UP_S = 0.25  # at most, unless two rows take longer
_FIRST_NS = 50_000_000  # copies whose first generations take longer are given up
_SETTLING_TOKENS = 2  # decoded untimed before a sample, which must not pay for what the arm before it evicted
_LONG_NS = 50_000_000  # beyond this that is a small part of a sample
_MOST_ROWS = 20_000  # of a process, and rounds: as many as whoever checks a submission takes from it


def variant(model: str, cache: str) -> str:
    """Return the name of a model with a kind of cache, as arrays and records have it."""
    return f"{model}-{cache}"


@dataclass(frozen=True)
class Demand:
    """What is asked: `new_tokens` after each prompt; `arms_s` and `variants_s` may be spent on either."""

    new_tokens: int
    kv_cache: str
    arms_s: float
    variants_s: float
    variants: Sequence[str]


class Once(NamedTuple):
    """One generation: time to first token, wall and CPU time of the tokens after it, and all tokens (B, new)."""

    ttft_ns: int
    decode_ns: int
    cpu_ns: int
    tokens: NDArray[np.intp]


class Rows(NamedTuple):
    """What was timed of the arms, by row: as in `harness.Recording`, with the time to first token of each sample."""

    copies: int
    windows: int
    steady: bool
    cold_ns: int
    order: list[list[int]]
    copy: list[int]
    wall_ns: list[list[int]]
    cpu_ns: list[list[int]]
    ttft_ns: list[list[int]]
    last: list[tuple[int, NDArray[np.intp]]]


class Variants(NamedTuple):
    """Times of each variant by round, all rounds of all variants, and the last tokens of each with their query."""

    times: dict[str, dict[str, list[int]]]
    last: dict[str, tuple[int, NDArray[np.intp]]]


def generated(session: Generation, prompts: Ids, new_tokens: int) -> Once:
    """Continue the prompts (B, T) by the best tokens, and time it."""
    tokens = np.empty((len(prompts), new_tokens), np.intp)
    began = wall_ns()
    token = session.begin(prompts).argmax(axis=-1)
    ttft = wall_ns() - began
    tokens[:, 0] = token
    cpu = cpu_ns()
    start = wall_ns()
    for position in range(1, new_tokens):
        token = session.step(token).argmax(axis=-1)
        tokens[:, position] = token
    wall = wall_ns() - start
    return Once(ttft, wall, cpu_ns() - cpu, tokens)


def time_arms(
    copies: Sequence[Sequence[Generation]], queries: Sequence[Ids], demand: Demand, seed: int, first: int
) -> Rows:
    """Time generations of the arms in turn, each with the next copy of every arm and the next query.

    `copies[c][a]` is copy c of arm a. Arm number `first` makes the process's first generation, the cold one. At least
    one row and its mirror image are taken, whatever that lasts.
    """
    session = _Session(copies, queries, demand, random.Random(f"{seed} generate"))
    cold = session.first_generations(first)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        windows, steady = session.warm_up()
        rows = session.interleave(demand.arms_s)
    finally:
        gc.enable()
        gc.unfreeze()
    return Rows(
        copies=session.copies,
        windows=windows,
        steady=steady,
        cold_ns=cold,
        order=[list(row.order) for row in rows],
        copy=[row.copy for row in rows],
        wall_ns=[[once.decode_ns for once in row.arms] for row in rows],
        cpu_ns=[[once.cpu_ns for once in row.arms] for row in rows],
        ttft_ns=[[once.ttft_ns for once in row.arms] for row in rows],
        last=[(rows[-1].query, once.tokens) for once in rows[-1].arms],
    )


def time_variants(sessions: Mapping[str, Generation], queries: Sequence[Ids], demand: Demand, seed: int) -> Variants:
    """Time generations of all variants in rounds of random order, from one to 20,000."""
    rng = random.Random(f"{seed} variants")
    times: dict[str, dict[str, list[int]]] = {name: {"ttft_ns": [], "decode_ns": []} for name in sessions}
    last: dict[str, tuple[int, NDArray[np.intp]]] = {}
    names = list(sessions)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        deadline = wall_ns() + round(demand.variants_s * 1e9)
        number = 0
        while not number or (number < _MOST_ROWS and wall_ns() < deadline):
            query = number % len(queries)
            for name in rng.sample(names, len(names)):
                if not number or times[name]["decode_ns"][-1] < _LONG_NS:
                    generated(sessions[name], queries[query - 1], min(_SETTLING_TOKENS, demand.new_tokens))
                once = generated(sessions[name], queries[query], demand.new_tokens)
                times[name]["ttft_ns"].append(once.ttft_ns)
                times[name]["decode_ns"].append(once.decode_ns)
                last[name] = query, once.tokens
            number += 1
    finally:
        gc.enable()
        gc.unfreeze()
    return Variants(times, last)


class _Row(NamedTuple):
    order: tuple[int, ...]
    copy: int
    query: int
    arms: tuple[Once, ...]


class _Session:
    """The arms' copies, the queries, and where in the rotation the next row starts."""

    def __init__(
        self, copies: Sequence[Sequence[Generation]], queries: Sequence[Ids], demand: Demand, rng: random.Random
    ) -> None:
        self._sets, self._queries, self._demand, self._rng = [tuple(arms) for arms in copies], queries, demand, rng
        self._next = 0
        self._last_ns = [0] * len(self._sets[0])  # of each arm's last generation
        self._orders = self._cycles()

    @property
    def copies(self) -> int:
        """How many copies of each arm are in use."""
        return len(self._sets)

    def first_generations(self, first: int) -> int:
        """Let every copy generate once; return what the very first took after its prompt. Slow models keep one copy."""
        began = wall_ns()
        cold = generated(self._sets[0][first], self._queries[0], self._demand.new_tokens).decode_ns
        used = 0
        while not used or (used < len(self._sets) and wall_ns() - began < _FIRST_NS):
            for arm, session in enumerate(self._sets[used]):
                if used or arm != first:
                    generated(session, self._queries[0], min(_SETTLING_TOKENS, self._demand.new_tokens))
            used += 1
        del self._sets[used:]
        return cold

    def warm_up(self) -> tuple[int, bool]:
        """Run windows of rows until the times of every arm settle; return their number and success."""
        return settle(lambda: [once.decode_ns for once in self._row(next(self._orders)).arms], _WARM_UP_S)

    def interleave(self, seconds: float) -> list[_Row]:
        """Collect rows with their mirror images for `seconds`, from two to 20,000."""
        deadline = wall_ns() + round(seconds * 1e9)
        rows: list[_Row] = []
        self._orders = self._cycles()  # from the beginning of a cycle
        while not rows or (len(rows) < _MOST_ROWS and wall_ns() < deadline):
            rows += [self._row(next(self._orders)), self._row(next(self._orders))]
        return rows

    def _cycles(self) -> Iterator[list[int]]:
        """Yield orders of the arms, endlessly: those of a Latin square, each with its mirror image.

        A row and its mirror are neighbours (ABBA), which cancels a linear drift; their order is random.
        """
        arms = len(self._sets[0])
        while True:
            first = self._rng.sample(range(arms), arms)
            for shift in self._rng.sample(range(arms), arms):
                order = first[shift:] + first[:shift]
                yield from self._rng.sample([order, order[::-1]], 2)

    def _row(self, order: Sequence[int]) -> _Row:
        """Time one generation of each arm on the same prompts."""
        copy, query = (self._next // _ROWS_OF_A_COPY) % len(self._sets), self._next % len(self._queries)
        self._next += 1
        found: dict[int, Once] = {}
        for arm in order:
            session = self._sets[copy][arm]
            if self._last_ns[arm] < _LONG_NS:
                generated(session, self._queries[query - 1], min(_SETTLING_TOKENS, self._demand.new_tokens))
            found[arm] = generated(session, self._queries[query], self._demand.new_tokens)
            self._last_ns[arm] = found[arm].decode_ns
        return _Row(tuple(order), copy, query, tuple(found[arm] for arm in range(len(order))))
