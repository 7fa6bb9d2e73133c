"""Choose kernels by measuring: every candidate of every step is timed where it stands, in the running network.

Plans that differ in their choices take turns on the same samples, so that a step finds the caches as the steps before
it leave them, and what disturbs the machine disturbs all alike. Layers as they run eagerly are timed alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.models.network import Network
from tinytorch.runtime.fusion import Step
from tinytorch.runtime.parts import Eager, Running, running
from tinytorch.runtime.plan import EAGER, EagerPart, make_plan

__all__ = ["fastest", "time_candidates"]

Array: TypeAlias = NDArray[Any]

_SPENT_S, _EAGER_S = 0.25, 0.03  # on all rounds of the plans, and of an eager layer, once there are _LEAST_ROUNDS
_LEAST_ROUNDS, _MOST_ROUNDS = 5, 300
_GAIN = 0.97  # less than 3 % faster may be chance
_BREAK_NS = 1_000.0  # leaving a native call and beginning another, with the arrays between them


def time_candidates(
    model: Network, available: Collection[str], batch: int, threads: int
) -> dict[str, dict[str, float]]:
    """Return the median time in ns that each candidate of each step takes for a batch of random samples.

    A step's are in the order of its candidates. An eager one is charged for the break between two native calls.
    """
    usual = make_plan(model, available)
    steps, kernels = usual.steps, usual.candidates
    compiled = {name: [one for one in each if one != EAGER] or [EAGER] for name, each in kernels.items()}
    plans = []
    for number in range(max((len(each) for each in compiled.values()), default=0)):
        choices = {name: each[min(number, len(each) - 1)] for name, each in compiled.items()}
        parts = make_plan(model, available, choices).parts
        plans.append((choices, [running(part, batch, threads) for part in parts]))
    samples = model.random_samples(batch)
    found: dict[str, dict[str, float]] = {name: {} for name in kernels}
    for (choices, _), times in zip(plans, _in_turns([parts for _, parts in plans], samples, _SPENT_S), strict=True):
        for name, ns in times.items():
            found[name][choices[name]] = min(ns, found[name].get(choices[name], ns))
    for step in steps:
        if EAGER in kernels[step.name] and EAGER not in found[step.name]:
            found[step.name][EAGER] = _eager_ns(step, batch) + _BREAK_NS
    return {name: {kernel: found[name][kernel] for kernel in each} for name, each in kernels.items()}


def fastest(times: Mapping[str, float]) -> str:
    """Return the kernel that takes the least time; the first, which is the usual one, unless another gains clearly."""
    usual = next(iter(times))
    best = min(times, key=lambda kernel: times[kernel])
    return best if times[best] < _GAIN * times[usual] else usual


def _in_turns(plans: Sequence[Sequence[Running]], samples: Array, spent_s: float) -> list[dict[str, float]]:
    """Run every plan in turn on the samples; return for each the median time of its steps by name."""
    seen: list[list[dict[str, float]]] = [[] for _ in plans]
    end = time.perf_counter() + spent_s
    for number in range(_MOST_ROUNDS):
        if number >= _LEAST_ROUNDS and time.perf_counter() > end:
            break
        for place in range(len(plans)) if number % 2 else reversed(range(len(plans))):
            value, times = samples, dict[str, float]()
            for part in plans[place]:
                value, of_part = part.timed(value)
                times |= of_part
            seen[place].append(times)
    return [
        {name: statistics.median(times[name] for times in rounds) for name in rounds[0]} if rounds else {}
        for rounds in seen
    ]


def _eager_ns(step: Step, batch: int) -> float:
    part = Eager(EagerPart((step,), None, None))
    (times,) = _in_turns([[part]], _random((batch, *step.before)), _EAGER_S)
    return times[step.name]


def _random(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).standard_normal(shape, np.float32)
