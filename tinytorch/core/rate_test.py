"""Try learning rates out, each on one batch, and read from the losses which one to use [Smith, 2017]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinytorch.core.inspection import unchanged
from tinytorch.core.optimizers import Adam, Optimizer
from tinytorch.core.tensor import Tensor

__all__ = ["learning_rate_range"]

LEAST_FALL = 0.99  # of the first loss: what falls less has not been learned
DIVERGED = 4.0  # times the first loss


def learning_rate_range(
    model: Any,
    batches: Iterable[tuple[Any, Any]],
    loss_fn: Callable[[Any, Any], Tensor],
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 60,
    make: Callable[[list[Tensor], float], Optimizer] = Adam,
) -> tuple[float | None, list[tuple[float, float]]]:
    """Try rates from `low` to `high`, one batch each, and return the rate to use with all (rate, loss).

    The rate is a tenth of the one at which the smoothed loss was least, the usual reading of the range test [Smith,
    2017]; None where it did not fall by 1 %. Batches are used again from the first when they end; `make(parameters,
    rate)` gives the optimizer. The model is put back. Raises ValueError without a batch and for a range that is none.
    """
    if not 0 < low < high or steps < 2:
        raise ValueError(f"learning_rate_range() needs 0 < low < high and 2 steps, but got {low}, {high} and {steps}.")
    pool = list(batches)
    if not pool:
        raise ValueError("learning_rate_range() got no batch.")
    parameters = list(model.parameters())
    forward = getattr(model, "forward", model)
    kept = [(p.data.copy(), p.grad) for p in parameters]
    tried: list[tuple[float, float]] = []
    try:
        with unchanged(model), np.errstate(all="ignore"):
            optimizer = make(parameters, low)
            for i, rate in enumerate(np.geomspace(low, high, steps)):
                inputs, targets = pool[i % len(pool)]
                loss = loss_fn(forward(inputs), targets)
                tried.append((float(rate), float(loss.data)))
                if not math.isfinite(tried[-1][1]) or tried[-1][1] > DIVERGED * tried[0][1]:
                    break
                optimizer.zero_grad()
                loss.backward()
                optimizer.lr = float(rate)
                optimizer.step()
    finally:
        for p, (data, grad) in zip(parameters, kept, strict=True):
            p.data[...], p.grad = data, grad
    return _best_rate(tried), tried


def _best_rate(tried: list[tuple[float, float]]) -> float | None:
    losses = [loss for _, loss in tried if math.isfinite(loss)]
    smooth = [float(np.mean(losses[max(0, i - 2) : i + 3])) for i in range(len(losses))]
    best = int(np.argmin(smooth)) if smooth else 0
    return tried[best][0] / 10 if smooth and smooth[best] < LEAST_FALL * losses[0] else None
