"""Training: the course's Trainer with schedule, clipping and checkpoints. A whole repeatable run is in fitting.py."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.checkpoint import (
    random_states,
    read_checkpoint,
    restore_arrays,
    restore_random_states,
    training_arrays,
    write_checkpoint,
)
from tinytorch.core.function import Array, no_grad
from tinytorch.core.layer import walk
from tinytorch.core.optimizers import Optimizer
from tinytorch.core.tensor import Tensor

__all__ = ["CosineSchedule", "Trainer", "clip_grad_norm"]

CHECKPOINT_FORMAT = 1


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
