"""Fit a classifier: one whole training run that follows from its settings and a seed alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tinytorch.core.function import no_grad
from tinytorch.core.layer import Layer, walk
from tinytorch.core.layers import Dropout
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, Trainer
from tinytorch.errors import TrainingDiverged
from tinytorch.kernels.memory import freed_memory_kept

__all__ = ["FitSettings", "LabelledImages", "Objective", "fit"]

EVALUATION_BATCH = 256


class LabelledImages(Protocol):
    """What `fit` reads: a split of a dataset."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Return the class ids (N,)."""

    def __len__(self) -> int:
        """Return the number of images N."""

    def images(self, index: Any = ..., /) -> npt.NDArray[np.float32]:
        """Return the normalized images (n, C, H, W) of a slice or an array of positions."""


class Objective(Protocol):
    """What `fit` minimizes: a loss of the network's outputs and what they are to be."""

    def targets(self, chosen: npt.NDArray[np.int64], /) -> Any:
        """Return what the training images at these positions are to give."""

    def loss(self, logits: Tensor, targets: Any, /) -> Tensor:
        """Return how far the outputs of a batch are from that, as a 0-d tensor."""


@dataclass(frozen=True)
class _Labels:
    """The cross-entropy with the labels of the images: the usual objective."""

    labels: npt.NDArray[np.int64]
    cross_entropy: CrossEntropyLoss

    def targets(self, chosen: npt.NDArray[np.int64], /) -> Tensor:
        return Tensor(self.labels[chosen])

    def loss(self, logits: Tensor, targets: Any, /) -> Tensor:
        return self.cross_entropy.forward(logits, targets)


@dataclass(frozen=True)
class FitSettings:
    """How to train: raises ValueError for values out of range."""

    epochs: int = 20
    lr: float = 1e-3
    optimizer: str = "adam"
    batch_size: int = 64
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: str = "constant"
    label_smoothing: float = 0.0
    grad_clip: float | None = None

    def __post_init__(self) -> None:
        """Check every setting."""
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, but got {self.optimizer!r}.")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, but got {self.schedule!r}.")
        limits = {
            "epochs": self.epochs >= 0,
            "lr": self.lr > 0,
            "batch_size": self.batch_size >= 1,
            "weight_decay": self.weight_decay >= 0,
            "momentum": 0 <= self.momentum < 1,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "grad_clip": self.grad_clip is None or self.grad_clip > 0,
        }
        wrong = {name: value for name, value in asdict(self).items() if not limits.get(name, True)}
        if wrong:
            raise ValueError(f"These training settings are out of range: {wrong}.")


def _adam(params: list[Tensor], settings: FitSettings) -> Optimizer:
    return Adam(params, settings.lr, weight_decay=settings.weight_decay)


def _adamw(params: list[Tensor], settings: FitSettings) -> Optimizer:
    return AdamW(params, settings.lr, weight_decay=settings.weight_decay)


def _sgd(params: list[Tensor], settings: FitSettings) -> Optimizer:
    return SGD(params, settings.lr, settings.momentum, settings.weight_decay)


OPTIMIZERS = {"adam": _adam, "adamw": _adamw, "sgd": _sgd}
SCHEDULES = {
    "constant": lambda settings: CosineSchedule(settings.lr, settings.lr, settings.epochs),
    "cosine": lambda settings: CosineSchedule(settings.lr, 0.0, settings.epochs),
}


def fit(
    model: Layer,
    train: LabelledImages,
    validation: LabelledImages | None,
    settings: FitSettings,
    seed: int,
    objective: Objective | None = None,
    look: Callable[[int], dict[str, Any] | None] | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place for classification and leave it in eval mode; return one record for each epoch.

    What is minimized is the cross-entropy with the labels, smoothed as the settings say, or another `objective`.
    A record is {epoch (from 1), train_loss, validation_accuracy (None without validation images), lr}. Order of samples
    and dropout follow from `seed` alone, so the same call gives the same bits on the same machine with as many BLAS
    threads (other sums round otherwise). A last batch of one image joins the batch before it, because batch
    normalization learns nothing from one. `look`, called after each epoch with its number, may add what it sees of the
    model as "inspection" to the record (see `TrainingProbe`), and changes nothing. Raises ValueError without anything
    to train on and TrainingDiverged as soon as loss or weights stop being finite numbers.
    """
    if not len(train):
        raise ValueError("fit() needs at least one training image, but the training split is empty.")
    rng = np.random.default_rng(seed)
    optimizer = OPTIMIZERS[settings.optimizer](model.parameters(), settings)
    goal = objective or _Labels(train.labels, CrossEntropyLoss(settings.label_smoothing))

    def finite_loss(logits: Tensor, targets: Any) -> Tensor:
        loss = goal.loss(logits, targets)
        if not math.isfinite(float(loss.data)):
            raise _diverged(trainer.epoch + 1, f"the loss of step {trainer.step + 1} is {loss.data}", settings)
        return loss

    trainer = Trainer(model, optimizer, finite_loss, SCHEDULES[settings.schedule](settings), settings.grad_clip)
    dropouts = [layer for layer in walk(model) if isinstance(layer, Dropout)]
    before = [layer.rng for layer in dropouts]
    for layer in dropouts:
        layer.rng = rng
    history: list[dict[str, Any]] = []
    try:
        # What overflows while training diverges is reported as divergence, not by NumPy's warnings as well.
        with freed_memory_kept(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for epoch in range(1, settings.epochs + 1):
                loss = trainer.train_epoch(_batches(train, goal, settings.batch_size, rng))
                if bad := sum(int(np.count_nonzero(~np.isfinite(p.data))) for p in optimizer.params):
                    raise _diverged(epoch, f"{bad} weights are NaN or infinite", settings)
                accuracy = _accuracy(model, validation) if validation is not None and len(validation) else None
                lr = trainer.history["learning_rates"][-1]
                history.append({"epoch": epoch, "train_loss": loss, "validation_accuracy": accuracy, "lr": lr})
                if look is not None and (seen := look(epoch)):
                    history[-1]["inspection"] = seen
    finally:
        for layer, own in zip(dropouts, before, strict=True):
            layer.rng = own
        model.eval()
    return history


def _diverged(epoch: int, found: str, settings: FitSettings) -> TrainingDiverged:
    way_out = f"Lower lr={settings.lr}" + ("." if settings.grad_clip else " or set grad_clip.")
    return TrainingDiverged(f"Training diverged in epoch {epoch}: {found}. {way_out}")


def _batches(
    split: LabelledImages, goal: Objective, size: int, rng: np.random.Generator
) -> Iterable[tuple[Tensor, Any]]:
    order = rng.permutation(len(split))
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and size > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        chosen = order[start:stop]
        yield Tensor._wrap(split.images(chosen)), goal.targets(chosen)


def _accuracy(model: Layer, split: LabelledImages) -> float:
    model.eval()
    correct = 0
    with no_grad():
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits = model.forward(Tensor._wrap(split.images(part))).data
            correct += int((logits.argmax(axis=1) == split.labels[part]).sum())
    return correct / len(split)
