"""Fit a classifier: one whole training run that follows from its settings and a seed alone.

What can be said of an epoch goes into its record; where a run is kept, so that it survives a kill, is up to whoever
opens a `watched` block around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tinytorch.core.augmentation import Augmentation
from tinytorch.core.function import no_grad
from tinytorch.core.layer import Layer, walk
from tinytorch.core.layers import Dropout
from tinytorch.core.loading import Batch, batches
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.core.replicas import Replicas
from tinytorch.core.resuming import KeptRun
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, clip_grad_norm
from tinytorch.core.watching import current_watch
from tinytorch.errors import TrainingDiverged
from tinytorch.kernels.memory import freed_memory_kept

__all__ = ["FitSettings", "LabelledImages", "Objective", "fit"]

EVALUATION_BATCH = 256
MOST_WORKERS = 64
ONE_CYCLE_RISES = 0.3  # PyTorch's default, too


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
    augment: Mapping[str, Any] | None = None
    workers: int = 1

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
            "workers": 1 <= self.workers <= MOST_WORKERS,
        }
        wrong = {name: value for name, value in asdict(self).items() if not limits.get(name, True)}
        if wrong:
            raise ValueError(f"These training settings are out of range: {wrong}.")
        self.augmentation()

    def augmentation(self) -> Augmentation:
        """Return how training images are varied; raises ValueError for what `augment` cannot be."""
        return Augmentation.from_settings(self.augment or {})


def _adam(params: list[Tensor], settings: FitSettings) -> Optimizer:
    return Adam(params, settings.lr, weight_decay=settings.weight_decay)


def _adamw(params: list[Tensor], settings: FitSettings) -> Optimizer:
    return AdamW(params, settings.lr, weight_decay=settings.weight_decay)


def _sgd(params: list[Tensor], settings: FitSettings) -> Optimizer:
    return SGD(params, settings.lr, settings.momentum, settings.weight_decay)


OPTIMIZERS = {"adam": _adam, "adamw": _adamw, "sgd": _sgd}


def _one_cycle(lr: float, done: float) -> float:
    """Rise from lr/25 to lr in the first 30 % and fall to zero, both along half a cosine [Smith & Topin, 2018]."""
    if done < ONE_CYCLE_RISES:
        return lr * (1 - (1 - 1 / 25) * (1 + math.cos(math.pi * done / ONE_CYCLE_RISES)) / 2)
    return lr * (1 + math.cos(math.pi * (done - ONE_CYCLE_RISES) / (1 - ONE_CYCLE_RISES))) / 2


# schedule -> the learning rate of a step, given the epoch it belongs to (from 0) and the share of all steps before it
SCHEDULES: dict[str, Callable[[FitSettings, int, float], float]] = {
    "constant": lambda settings, epoch, done: settings.lr,
    "cosine": lambda settings, epoch, done: CosineSchedule(settings.lr, 0.0, settings.epochs).get_lr(epoch),
    "one_cycle": lambda settings, epoch, done: _one_cycle(settings.lr, done),
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
    A record is {epoch (from 1), train_loss, validation_accuracy (None without validation images), lr, that of its last
    step}. Order and variations of samples and dropout follow from `seed` alone, so the same call gives the same bits on
    the same machine with as many BLAS threads (other sums round otherwise), interrupted and resumed or not (`watched`).
    A last batch of one image joins the batch before it, because batch normalization learns nothing from one. `look`,
    called after each epoch with its number, may add what it sees of the model as "inspection" to the record (see
    `TrainingProbe`), and changes nothing. Raises ValueError without anything to train on and TrainingDiverged as soon
    as loss or weights stop being finite numbers.
    """
    if not len(train):
        raise ValueError("fit() needs at least one training image, but the training split is empty.")
    settings.augmentation().check(train.images(slice(0, 1)).shape[1:])
    optimizer = OPTIMIZERS[settings.optimizer](model.parameters(), settings)
    goal = objective or _Labels(train.labels, CrossEntropyLoss(settings.label_smoothing))
    rng = np.random.default_rng(seed)
    watch = current_watch()
    kept = KeptRun.of(watch.folder, model, optimizer, train, [asdict(settings), seed, type(goal).__name__])
    dropouts = [layer for layer in walk(model) if isinstance(layer, Dropout)]
    before = [layer.rng for layer in dropouts]
    try:
        # What overflows while training diverges is reported as divergence, not by NumPy's warnings as well.
        with (
            freed_memory_kept(),
            np.errstate(over="ignore", invalid="ignore", divide="ignore"),
            Replicas.of(model, settings.workers) as replicas,
        ):
            for layer in dropouts:
                layer.rng = rng
            history = kept.resume(rng, watch.say)
            for epoch in range(len(history) + 1, settings.epochs + 1):
                replicas.begin_epoch(seed, epoch)
                loss = _train_epoch(replicas, optimizer, epoch, _Course(train, goal, settings, seed, rng))
                replicas.end_epoch()
                if bad := sum(int(np.count_nonzero(~np.isfinite(p.data))) for p in optimizer.params):
                    raise _diverged(epoch, f"{bad} weights are NaN or infinite", settings)
                accuracy = _accuracy(model, validation) if validation is not None and len(validation) else None
                lr = float(optimizer.lr)
                history.append({"epoch": epoch, "train_loss": loss, "validation_accuracy": accuracy, "lr": lr})
                if look is not None and (seen := look(epoch)):
                    history[-1]["inspection"] = seen
                if watch.is_due():
                    kept.save(rng, history)
                    watch.say(_line(history[-1], settings.epochs))
    finally:
        for layer, own in zip(dropouts, before, strict=True):
            layer.rng = own
        model.eval()
    return history


@dataclass(frozen=True)
class _Course:
    """What the epochs of a run have in common; `rng` orders the samples."""

    train: LabelledImages
    goal: Objective
    settings: FitSettings
    seed: int
    rng: np.random.Generator


def _train_epoch(replicas: Replicas, optimizer: Optimizer, epoch: int, course: _Course) -> float:
    """Go once through the training images and return the mean loss of the batches."""
    settings, goal = course.settings, course.goal
    rate = SCHEDULES[settings.schedule]
    losses: list[float] = []
    varied = settings.augmentation(), np.random.default_rng([course.seed, epoch, 0])  # apart from what dropout draws
    order = course.rng.permutation(len(course.train))
    with batches(course.train, settings.batch_size, order, varied) as (count, loaded):
        for batch in loaded:

            def loss_of(model: Layer, part: slice, batch: Batch = batch) -> Tensor:
                logits = model.forward(Tensor._wrap(batch.images[part]))
                return goal.loss(logits, goal.targets(batch.chosen[part]))

            step = (epoch - 1) * count + len(losses)
            optimizer.lr = rate(settings, epoch - 1, step / (settings.epochs * count))
            loss = replicas.learn(len(batch.chosen), loss_of)
            if not math.isfinite(loss):
                raise _diverged(epoch, f"the loss of step {step + 1} is {loss}", settings)
            losses.append(loss)
            if settings.grad_clip is not None:
                clip_grad_norm(optimizer.params, settings.grad_clip)
            optimizer.step()
            optimizer.zero_grad()
    return float(np.mean(losses))


def _line(record: Mapping[str, Any], epochs: int) -> str:
    """Return what a person who waits reads of an epoch."""
    accuracy = record["validation_accuracy"]
    reached = "" if accuracy is None else f", {100 * accuracy:.1f} % of the validation split right"
    return f"epoch {record['epoch']} of {epochs}: loss {record['train_loss']:.4g}{reached}"


def _diverged(epoch: int, found: str, settings: FitSettings) -> TrainingDiverged:
    way_out = f"Lower lr={settings.lr}" + ("." if settings.grad_clip else " or set grad_clip.")
    return TrainingDiverged(f"Training diverged in epoch {epoch}: {found}. {way_out}")


def _accuracy(model: Layer, split: LabelledImages) -> float:
    model.eval()
    correct = 0
    with no_grad():
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits = model.forward(Tensor._wrap(split.images(part))).data
            correct += int((logits.argmax(axis=1) == split.labels[part]).sum())
    return correct / len(split)
