"""Training: the course's Trainer with schedule, clipping and checkpoints, and `fit`, a whole repeatable run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tinytorch.core.checkpoint import (
    random_states,
    read_checkpoint,
    restore_arrays,
    restore_random_states,
    training_arrays,
    write_checkpoint,
)
from tinytorch.core.function import Array, no_grad
from tinytorch.core.layer import Layer, walk
from tinytorch.core.layers import Dropout
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.core.tensor import Tensor
from tinytorch.errors import TinyTorchError
from tinytorch.kernels.memory import freed_memory_kept

__all__ = ["CosineSchedule", "FitSettings", "LabelledImages", "Objective", "Trainer", "clip_grad_norm", "fit"]

CHECKPOINT_FORMAT = 1
EVALUATION_BATCH = 256


class CosineSchedule:
    """Fall from `max_lr` to `min_lr` along half a cosine over `total_epochs` [Loshchilov & Hutter, 2017]."""

    def __init__(self, max_lr: float = 0.1, min_lr: float = 0.01, total_epochs: int = 100) -> None:
        self.max_lr, self.min_lr, self.total_epochs = max_lr, min_lr, total_epochs

    def get_lr(self, epoch: int) -> float:
        """Return the learning rate of `epoch`, counted from 0; `min_lr` from total_epochs on."""
        if epoch >= self.total_epochs:
            return self.min_lr
        return self.min_lr + (self.max_lr - self.min_lr) * (1 + math.cos(math.pi * epoch / self.total_epochs)) / 2


def clip_grad_norm(params: Iterable[Tensor], max_norm: float = 1.0) -> float:
    """Scale all gradients together so that their joint Euclidean norm is at most `max_norm`; return it as it was."""
    tensors = [p for p in params if p.grad is not None]
    total = math.sqrt(sum(float(np.vdot(p.grad, p.grad)) for p in tensors if p.grad is not None))
    if total > max_norm:
        for p in tensors:
            if p.grad is not None:
                p.grad = p.grad * np.float32(max_norm / total)
    return total


class Trainer:
    """Train a model on batches from a loader, as the course does.

    `model` needs forward(x) and parameters(), and layers in its attributes follow its mode; `loss_fn` takes (outputs,
    targets); `scheduler` get_lr(epoch).
    `history` has train_loss and learning_rates for each epoch and eval_loss for each evaluation.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        loss_fn: Any,
        scheduler: Any = None,
        grad_clip_norm: float | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.scheduler, self.grad_clip_norm = scheduler, grad_clip_norm
        self.epoch = 0
        self.step = 0
        self.training_mode = True
        self.history: dict[str, list[float]] = {"train_loss": [], "eval_loss": [], "learning_rates": []}

    def train_epoch(self, dataloader: Iterable[Sequence[Any]], accumulation_steps: int = 1) -> float:
        """Go once through the batches and return their mean loss.

        Each `accumulation_steps` batches share one update with the mean of their gradients. Raises ValueError if there
        is no batch.
        """
        self._set_mode(True)
        if self.scheduler is not None:
            self.optimizer.lr = self.scheduler.get_lr(self.epoch)
        losses: list[float] = []
        self.optimizer.zero_grad()
        for inputs, targets in dataloader:
            loss = self.loss_fn(self.model.forward(inputs), targets)
            losses.append(float(loss.data))
            (loss / accumulation_steps).backward()
            if len(losses) % accumulation_steps == 0:
                self._update()
        if not losses:
            raise ValueError("train_epoch() got a loader without a single batch; check the dataset's length.")
        if left_over := len(losses) % accumulation_steps:
            for p in self.optimizer.params:
                if p.grad is not None:
                    p.grad = p.grad * np.float32(accumulation_steps / left_over)
            self._update()
        mean = float(np.mean(losses))
        self.history["train_loss"].append(mean)
        self.history["learning_rates"].append(float(self.optimizer.lr))
        self.epoch += 1
        return mean

    def evaluate(self, dataloader: Iterable[Sequence[Tensor]]) -> tuple[float, float]:
        """Return (mean loss, accuracy 0..1) over the batches, without recording gradients.

        Accuracy compares the largest output with integer targets (N,) or one-hot ones (N, C); for outputs of other
        shapes (regression) there is none, and it is NaN.
        """
        self._set_mode(False)
        losses: list[float] = []
        correct = total = 0
        with no_grad():
            for inputs, targets in dataloader:
                outputs = self.model.forward(inputs)
                losses.append(float(self.loss_fn(outputs, targets).data))
                if outputs.ndim == 2 and outputs.shape[1] > 1:
                    wanted = targets.data.argmax(axis=1) if targets.ndim == 2 else targets.data
                    correct += int((outputs.data.argmax(axis=1) == wanted).sum())
                    total += len(wanted)
        if not losses:
            raise ValueError("evaluate() got a loader without a single batch; check the dataset's length.")
        mean = float(np.mean(losses))
        self.history["eval_loss"].append(mean)
        return mean, correct / total if total else math.nan

    def _update(self) -> None:
        if self.grad_clip_norm is not None:
            clip_grad_norm(self.optimizer.params, self.grad_clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1

    def _set_mode(self, is_training: bool) -> None:
        self.training_mode = is_training
        self.model.training = is_training
        for layer in walk(self.model):
            layer.training = is_training

    def save_checkpoint(
        self, path: str | Path, *, rng: np.random.Generator | None = None, notes: dict[str, Any] | None = None
    ) -> None:
        """Write all that training depends on to an .npz file without any pickle, whole or not at all.

        Parameters, batch-norm statistics, optimizer state, history, and where the random generators stand (NumPy's
        global one, those of the Dropouts, `rng`): after `load_checkpoint` the next epoch gives the same bits. `notes`,
        JSON of one's own, goes with it.
        """
        facts = {
            "format": CHECKPOINT_FORMAT,
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "training_mode": self.training_mode,
            "optimizer": type(self.optimizer).__name__,
            "step_count": self.optimizer.step_count,
            "lr": float(self.optimizer.lr),
            "random": random_states(self.model, rng),
            "notes": notes,
        }
        write_checkpoint(path, facts, {name: array for name, array in self._arrays().items() if array is not None})

    def load_checkpoint(self, path: str | Path, *, rng: np.random.Generator | None = None) -> dict[str, Any] | None:
        """Restore what save_checkpoint wrote and return its notes.

        Raises ValueError unless this trainer has the same model and optimizer.
        """
        facts, stored = read_checkpoint(path)
        if missing := {"epoch", "history", "lr", "optimizer", "step", "step_count", "training_mode"} - facts.keys():
            raise ValueError(f"{path}: found no {', '.join(sorted(missing))}, expected a checkpoint of a Trainer.")
        if facts["optimizer"] != type(self.optimizer).__name__:
            raise ValueError(
                f"{path}: found the state of {facts['optimizer']}, expected that of {type(self.optimizer).__name__}."
            )
        restore_arrays(path, stored, self.model, self.optimizer)
        if "random" in facts:  # a file of an older version has none
            restore_random_states(facts["random"], self.model, rng)
        self.epoch, self.step, self.history = facts["epoch"], facts["step"], facts["history"]
        self.training_mode = facts["training_mode"]
        self.optimizer.step_count = facts["step_count"]
        self.optimizer.lr = facts["lr"]
        notes: dict[str, Any] | None = facts.get("notes")
        return notes

    def _arrays(self) -> dict[str, Array | None]:
        return training_arrays(self.model, self.optimizer)


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
) -> list[dict[str, float | int | None]]:
    """Train `model` in place for classification and leave it in eval mode; return one record for each epoch.

    What is minimized is the cross-entropy with the labels, smoothed as the settings say, or another `objective`.
    A record is {epoch (from 1), train_loss, validation_accuracy (None without validation images), lr}. Order of samples
    and dropout follow from `seed` alone, so the same call gives the same bits on the same machine with as many BLAS
    threads (other sums round otherwise). A last batch of one image joins the batch before it, because batch
    normalization learns nothing from one. Raises ValueError if there is nothing to train on and TinyTorchError as soon
    as loss or weights stop being finite numbers.
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
    history: list[dict[str, float | int | None]] = []
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
    finally:
        for layer, own in zip(dropouts, before, strict=True):
            layer.rng = own
        model.eval()
    return history


def _diverged(epoch: int, found: str, settings: FitSettings) -> TinyTorchError:
    way_out = f"Lower lr={settings.lr}" + ("." if settings.grad_clip else " or set grad_clip.")
    return TinyTorchError(f"Training diverged in epoch {epoch}: {found}. {way_out}")


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
