"""Train a network to name the class of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tinytorch.core.fitting import OPTIMIZERS, SCHEDULES, FitSettings, fit
from tinytorch.core.inspection import PROBE_ITEMS
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.tasks.study import Study

__all__ = ["study", "train"]


def train(
    model: Network,
    train: Split,
    validation: Split,
    settings: Mapping[str, Any],
    seed: int,
    look: Callable[[int], dict[str, Any] | None] | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place as `fit` does; return a record for each epoch. Raises ValueError for bad settings."""
    return fit(model, train, validation, FitSettings(**settings), seed, look=look)


def study(train: Split, settings: Mapping[str, Any]) -> Study:
    """Return how to look into such a training: images as they are, not varied, and their labels."""
    chosen = FitSettings(**settings)
    return Study(
        settings=chosen,
        epochs=chosen.epochs,
        items=len(train),
        most=PROBE_ITEMS,
        batch=lambda positions: (Tensor(train.images(positions)), Tensor(train.labels[positions])),
        loss=CrossEntropyLoss(chosen.label_smoothing).forward,
        optimizer=lambda parameters, lr: OPTIMIZERS[chosen.optimizer](parameters, replace(chosen, lr=lr)),
        first_lr=SCHEDULES[chosen.schedule](chosen, 0, 0.0),
    )
