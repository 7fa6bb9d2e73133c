"""Compute the gradients of a batch in several threads, each with a copy of the network that shares its weights.

Every copy takes its share of the batch; their gradients are summed in the order of the copies, so that the bits depend
on their number and on nothing else. A copy normalizes with the statistics of its own share, as is usual.
[Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", 2020]
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import numpy as np

from tinytorch.core.checkpoint import running_statistics
from tinytorch.core.layer import Layer, walk
from tinytorch.core.layers import Dropout
from tinytorch.core.tensor import Tensor
from tinytorch.kernels.calls import threads, using_threads

__all__ = ["Replicas", "shares"]


def shares(count: int, workers: int) -> list[slice]:
    """Divide `count` samples evenly; a share has at least two, because batch normalization learns nothing from one."""
    parts = max(1, min(workers, count // 2))
    edges = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


class Replicas:
    """A network and `workers - 1` copies of it; the network itself works in the thread that asks.

    Make them with `of`, which ends the threads.
    """

    def __init__(self, model: Layer, workers: int, pool: ThreadPoolExecutor | None) -> None:
        self._models = [model, *(copy.deepcopy(model) for _ in range(workers - 1))]
        self._parameters = [model.parameters() for model in self._models]
        self._pool = pool
        self._threads = max(1, threads() // workers)  # of the kernels of each copy: together they take the cores

    @classmethod
    @contextmanager
    def of(cls, model: Layer, workers: int) -> Iterator[Self]:
        """Make the copies for a block, and the threads that they work in: none for one worker."""
        if workers == 1:
            yield cls(model, 1, None)
            return
        with ThreadPoolExecutor(workers - 1, "replica") as pool:
            yield cls(model, workers, pool)

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Let all train, from the network's own statistics; the copies' Dropouts draw from generators of their own."""
        statistics = running_statistics(self._models[0])
        for number, model in enumerate(self._models):
            model.train()
            if not number:
                continue
            for (_, _, own), (_, _, wanted) in zip(running_statistics(model), statistics, strict=True):
                own[...] = wanted
            rng = np.random.default_rng([seed, epoch, number])
            for layer in walk(model):
                if isinstance(layer, Dropout):
                    layer.rng = rng

    def end_epoch(self) -> None:
        """Give the network the mean of what all have seen: the running statistics of its batch norms."""
        if len(self._models) == 1:
            return
        for seen in zip(*map(running_statistics, self._models), strict=True):
            seen[0][2][...] = np.mean([array for _, _, array in seen], axis=0, dtype=np.float64)

    def learn(self, count: int, loss_of: Callable[[Layer, slice], Tensor]) -> float:
        """Add the gradients of the mean loss over `count` samples to the network's parameters; return that loss.

        `loss_of(model, part)` computes the mean loss over a part of the samples; it is called in several threads.
        """
        parts = shares(count, len(self._models))
        waiting = [
            self._pool.submit(self._learn_part, number, part, count, loss_of)
            for number, part in enumerate(parts)
            if number and self._pool
        ]
        losses = [self._learn_part(0, parts[0], count, loss_of), *(future.result() for future in waiting)]
        for others in self._parameters[1 : len(parts)]:
            for own, other in zip(self._parameters[0], others, strict=True):
                if other.grad is not None:
                    own.grad = other.grad if own.grad is None else own.grad + other.grad
                    other.grad = None
        return sum(losses)

    def _learn_part(self, number: int, part: slice, count: int, loss_of: Callable[[Layer, slice], Tensor]) -> float:
        for own, other in zip(self._parameters[0], self._parameters[number], strict=True):
            other._data = own._data  # shared: optimizers update in place, and what replaced it would be missed
        share: float = (part.stop - part.start) / count
        # Both settings are a thread's own.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"), using_threads(self._threads):
            loss = loss_of(self._models[number], part)
            (loss if share == 1 else loss * share).backward()
        return share * float(loss.data)
