"""Train a network and look into it on the way: what one batch shows before the training and after some of its epochs.

The same for every task: a module of the table `training` says by a `Study` what its batches, losses and rates are.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.inspection import TrainingProbe, spread
from tinytorch.core.layer import walk
from tinytorch.core.layers import Dropout
from tinytorch.core.optimizers import Optimizer
from tinytorch.core.rate_test import learning_rate_range
from tinytorch.core.tensor import Tensor
from tinytorch.errors import TrainingDiverged
from tinytorch.models.network import Network

__all__ = ["Study", "train_and_look"]

Batch = tuple[Any, Any]

LEARNED = 0.95  # of the loss before the training: what falls less learned next to nothing, so rates are tried
BATCHES = 10  # of different items that rates are tried on
LOWEST, HIGHEST, RATES = 1e-6, 1.0, 60


class Settings(Protocol):
    """What is told of a training's settings."""

    @property
    def optimizer(self) -> str:
        """Return the name of what minimizes."""

    @property
    def lr(self) -> float:
        """Return its learning rate."""

    @property
    def momentum(self) -> float:
        """Return its momentum, which only sgd uses."""


@dataclass(frozen=True)
class Study:
    """What is looked at: `items` to choose from, `most` of them in a batch, which `batch(positions)` gives.

    `loss(outputs, targets)` is what is minimized, `optimizer(parameters, lr)` what minimizes it, `first_lr` the rate of
    its first step.
    """

    settings: Settings
    epochs: int

    items: int
    most: int
    batch: Callable[[NDArray[np.int64]], Batch]
    loss: Callable[[Any, Any], Tensor]
    optimizer: Callable[[list[Tensor], float], Optimizer]
    first_lr: float


def train_and_look(
    learner: ModuleType,
    build: Callable[[], Network],
    splits: tuple[Any, Any],
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[Network, list[dict[str, Any]]]:
    """Train what `build` gives on (train, validation) and return it with a record for each epoch.

    The first record holds as "inspection" what was seen of the network (see `TrainingProbe`); where it learned next to
    nothing, learning rates are tried out, too. The weights are those of a training that nobody looks into. Raises
    TrainingDiverged, with a rate to try, when loss or weights stop being finite numbers.
    """
    model, study = build(), learner.study(splits[0], settings)
    if not study.epochs or not study.items:
        return model, learner.train(model, *splits, settings, seed)
    chosen = np.array(spread(study.items, study.most))
    probe = TrainingProbe(model, model.named_layers(), study.batch(chosen), study.loss, study.epochs)
    with _drawing_from(seed, model):
        first = probe(0) or {}
    try:
        history: list[dict[str, Any]] = learner.train(model, *splits, settings, seed, look=probe)
    except TrainingDiverged as error:
        suggested, _ = _rates(study, build(), seed)
        advice = "" if suggested is None else f" When rates were tried, the loss fell most around lr={suggested:.1g}."
        raise TrainingDiverged(f"{error}{advice}") from error
    looks = [(record["lr"], record.pop("inspection")) for record in history if "inspection" in record]
    history[0]["inspection"] = {
        "items": len(chosen),
        "optimizer": study.settings.optimizer,
        "lr": study.settings.lr,
        "momentum": study.settings.momentum,
        **probe.layout(),
        "points": [{"lr": lr, **point} for lr, point in [(study.first_lr, first), *looks]],
        "rate_test": None if _has_learned(first["loss"], history) else _rate_test(study, build(), seed),
    }
    return model, history


@contextlib.contextmanager
def _drawing_from(seed: int, model: Network) -> Iterator[None]:
    """Let the model's Dropouts draw from a generator of this seed, as they do once it is trained."""
    dropouts = [layer for layer in walk(model) if isinstance(layer, Dropout)]
    before = [layer.rng for layer in dropouts]
    rng = np.random.default_rng(seed)
    try:
        for layer in dropouts:
            layer.rng = rng
        yield
    finally:
        for layer, own in zip(dropouts, before, strict=True):
            layer.rng = own


def _has_learned(start: float | None, history: Sequence[Mapping[str, Any]]) -> bool:
    return start is None or bool(history[-1]["train_loss"] <= LEARNED * start)


def _rate_test(study: Study, model: Network, seed: int) -> dict[str, Any]:
    suggested, tried = _rates(study, model, seed)
    told = [[_short(rate), _short(loss) if math.isfinite(loss) else None] for rate, loss in tried]
    return {"suggested": None if suggested is None else _short(suggested), "tried": told}


def _rates(study: Study, model: Network, seed: int) -> tuple[float | None, list[tuple[float, float]]]:
    """Try rates on an untrained model, which may be used up."""
    order = np.random.default_rng(seed).permutation(study.items)
    size = min(study.most, max(1, study.items // 2))
    starts = range(0, min(study.items, BATCHES * size) - size + 1, size)
    batches = [study.batch(np.sort(order[start : start + size])) for start in starts]
    with _drawing_from(seed, model):
        return learning_rate_range(model, batches, study.loss, LOWEST, HIGHEST, RATES, study.optimizer)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
