"""Train a language model on a text by steps, and say how well it predicts one: `fit_text`, `token_losses`.

What `fit` is for labelled images, this is for tokens. A run that is ended at any moment goes on from its checkpoint to
the same weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import Layer, evaluating, walk
from tinytorch.core.layers import Dropout
from tinytorch.core.losses import CrossEntropyLoss, log_softmax
from tinytorch.core.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, Trainer
from tinytorch.core.watching import current_watch
from tinytorch.errors import TrainingDiverged
from tinytorch.kernels.memory import freed_memory_kept

__all__ = ["TextRecord", "TextSettings", "TokenText", "fit_text", "perplexity", "token_losses"]

BETAS = (0.9, 0.95)  # Brown et al., 2020, appendix B
EVALUATION_TOKENS = 4096  # of a batch: its scores for 1,000 entries are 16 MB

Ids: TypeAlias = NDArray[np.int32]
TextRecord: TypeAlias = dict[str, Any]


class TokenText(Protocol):
    """What is trained on: a text as tokens."""

    @property
    def ids(self) -> Ids:
        """Return all tokens (N,)."""

    def sample(self, count: int, context: int, rng: np.random.Generator, /) -> tuple[Ids, Ids]:
        """Return inputs and targets (count, context) from random places."""

    def windows(self, context: int, /) -> tuple[Ids, Ids]:
        """Return inputs and targets (n, context) that cover the text once."""


@dataclass(frozen=True)
class TextSettings:
    """How to train: raises ValueError for values out of range.

    One of the `steps` sees `batch_size` windows of `context` tokens, `accumulation` batches after each other. The rate
    rises to `lr` over the first `warmup` steps; then, by the `schedule`, it falls to `min_lr` along half a cosine or
    stays. Adam's moments decay as for GPT-3. Every `record_every` steps and at the end the model is judged and the
    checkpoint written.
    """

    steps: int = 1000
    batch_size: int = 16
    context: int = 128
    lr: float = 1e-3
    min_lr: float = 1e-4
    warmup: int = 50
    weight_decay: float = 0.1
    grad_clip: float | None = 1.0
    accumulation: int = 1
    record_every: int = 250
    optimizer: str = "adamw"
    schedule: str = "cosine"
    momentum: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check every setting."""
        for name, value, valid in (("optimizer", self.optimizer, OPTIMIZERS), ("schedule", self.schedule, SCHEDULES)):
            if value not in valid:
                raise ValueError(f"{name} must be one of {', '.join(valid)}, but got {value!r}.")
        limits = {
            "steps": self.steps >= 0,
            "batch_size": self.batch_size >= 1,
            "context": self.context >= 1,
            "lr": self.lr > 0,
            "min_lr": 0 <= self.min_lr <= self.lr,
            "warmup": self.warmup >= 0,
            "weight_decay": self.weight_decay >= 0,
            "grad_clip": self.grad_clip is None or self.grad_clip > 0,
            "accumulation": self.accumulation >= 1,
            "record_every": self.record_every >= 1,
            "momentum": 0 <= self.momentum < 1,
            "label_smoothing": 0 <= self.label_smoothing < 1,
        }
        wrong = {name: value for name, value in asdict(self).items() if not limits.get(name, True)}
        if wrong:
            raise ValueError(f"These training settings are out of range: {wrong}.")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return SCHEDULES[self.schedule](self, step - self.warmup)


def _adam(params: list[Tensor], settings: TextSettings) -> Optimizer:
    return Adam(params, settings.lr, BETAS, weight_decay=settings.weight_decay)


def _adamw(params: list[Tensor], settings: TextSettings) -> Optimizer:
    return AdamW(params, settings.lr, BETAS, weight_decay=settings.weight_decay)


def _sgd(params: list[Tensor], settings: TextSettings) -> Optimizer:
    return SGD(params, settings.lr, settings.momentum, settings.weight_decay)


def _cosine(settings: TextSettings, step: int) -> float:
    return CosineSchedule(settings.lr, settings.min_lr, max(1, settings.steps - settings.warmup)).get_lr(step)


OPTIMIZERS: dict[str, Callable[[list[Tensor], TextSettings], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
}
# The rate of a step after the warmup, counted from there.
SCHEDULES: dict[str, Callable[[TextSettings, int], float]] = {
    "constant": lambda settings, step: settings.lr,
    "cosine": _cosine,
}


def fit_text(
    model: Layer,
    train: TokenText,
    validation: TokenText | None,
    settings: TextSettings,
    seed: int,
    checkpoint: Path | None = None,
    look: Callable[[int], dict[str, Any] | None] | None = None,
) -> list[TextRecord]:
    """Train `model`, (B, T) -> (B, T, V), in place on random windows; leave it in eval mode and return the records.

    A record is {step, train_loss (the mean since the last one), validation_loss and validation_accuracy (of the next
    token; None without that text), lr}. Windows and dropout follow from `seed` alone. With `checkpoint` the run goes on
    from that file if it is there, and gives the bits it would have given in one go. `look`, called with the number of
    each record, may add what it sees of the model as "inspection", and changes nothing. Raises ValueError for a
    checkpoint of other settings, seed or text, and TrainingDiverged as soon as the loss stops being a finite number.
    """
    rng = np.random.default_rng(seed)
    optimizer = OPTIMIZERS[settings.optimizer](model.parameters(), settings)
    cross_entropy = CrossEntropyLoss(settings.label_smoothing)

    def finite_loss(logits: Tensor, targets: Tensor) -> Tensor:
        loss = cross_entropy.forward(logits, targets)
        if not math.isfinite(float(loss.data)):
            raise TrainingDiverged(
                f"Training diverged in step {trainer.step + 1}: its loss is {loss.data}. Lower lr={settings.lr} or "
                "lengthen warmup."
            )
        return loss

    trainer = Trainer(model, optimizer, finite_loss, grad_clip_norm=settings.grad_clip)
    dropouts = [layer for layer in walk(model) if isinstance(layer, Dropout)]
    before = [layer.rng for layer in dropouts]
    for layer in dropouts:
        layer.rng = rng
    watch = current_watch()
    try:
        facts = {"settings": asdict(settings), "seed": seed, "text": hashlib.sha256(train.ids.tobytes()).hexdigest()}
        records = _resumed(trainer, rng, checkpoint, facts)
        with freed_memory_kept(), np.errstate(over="ignore", invalid="ignore"):
            while trainer.step < settings.steps:
                count = min(settings.record_every - trainer.step % settings.record_every, settings.steps - trainer.step)
                loss = trainer.train_epoch(_batches(trainer, train, settings, count, rng), settings.accumulation)
                records.append({"step": trainer.step, "train_loss": loss, **_judged(model, validation, settings)})
                records[-1]["lr"] = optimizer.lr
                if look is not None and (seen := look(len(records))):
                    records[-1]["inspection"] = seen
                if checkpoint is not None:
                    trainer.save_checkpoint(checkpoint, rng=rng, notes={"facts": facts, "records": records})
                if watch.is_due():
                    watch.say(_line(records[-1], settings.steps))
    finally:
        for layer, own in zip(dropouts, before, strict=True):
            layer.rng = own
        model.eval()
    return records


def _line(record: TextRecord, steps: int) -> str:
    """Return what a person who waits reads of a record."""
    judged = record["validation_loss"]
    reached = "" if judged is None else f", perplexity {math.exp(min(judged, 700.0)):.4g} on the validation text"
    return f"step {record['step']:,} of {steps:,}: loss {record['train_loss']:.4g}{reached}"


def _batches(
    trainer: Trainer, text: TokenText, settings: TextSettings, steps: int, rng: np.random.Generator
) -> Iterator[tuple[Ids, Tensor]]:
    """Yield the batches of so many steps; setting the rate of each before the update it is for."""
    first = trainer.step
    for step in range(first, first + steps):
        trainer.optimizer.lr = settings.rate(step)
        for _ in range(settings.accumulation):
            inputs, targets = text.sample(settings.batch_size, settings.context, rng)
            yield inputs, Tensor(targets)


def _resumed(trainer: Trainer, rng: np.random.Generator, path: Path | None, facts: dict[str, Any]) -> list[TextRecord]:
    """Load the checkpoint if there is one and return its records; raise ValueError if it is of another training."""
    if path is None or not path.exists():
        return []
    notes = trainer.load_checkpoint(path, rng=rng)
    if notes is None or notes.get("facts") != facts:
        found = {} if notes is None else notes.get("facts", {})
        names = ", ".join(name for name in facts if found.get(name) != facts[name])
        raise ValueError(f"{path}: found a checkpoint of another training ({names} differ); remove it to begin anew.")
    records: list[TextRecord] = notes["records"]
    return records


def token_losses(model: Layer, text: TokenText, context: int) -> NDArray[np.float64]:
    """Return -log p of each token after the first, float64 (n, context), predicted from its window alone.

    The windows cover the text once, so early tokens of a window have little to go by: figures are comparable for
    equal `context` only. The model's mode is put back afterwards.
    """
    return _losses_and_hits(model, text, context)[0]


def _losses_and_hits(model: Layer, text: TokenText, context: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the losses of the tokens, and where the likeliest token is the right one, (n, context) both."""
    inputs, targets = text.windows(context)
    rows = max(1, EVALUATION_TOKENS // context)
    losses, hits = np.empty(targets.shape, np.float64), np.empty(targets.shape, np.bool_)
    with evaluating(walk(model)):
        for start in range(0, len(inputs), rows):
            part = slice(start, start + rows)
            scores = log_softmax(model.forward(inputs[part])).data  # type: ignore[arg-type]
            losses[part] = -np.take_along_axis(scores, targets[part, :, np.newaxis].astype(np.intp), axis=-1)[..., 0]
            hits[part] = scores.argmax(axis=-1) == targets[part]
    return losses, hits


def _judged(model: Layer, text: TokenText | None, settings: TextSettings) -> TextRecord:
    if text is None:
        return {"validation_loss": None, "validation_accuracy": None}
    losses, hits = _losses_and_hits(model, text, settings.context)
    return {"validation_loss": float(losses.mean()), "validation_accuracy": float(hits.mean())}


def perplexity(losses: NDArray[np.float64]) -> float:
    """Return e to the mean loss: among how many equally likely tokens the model hesitates on average."""
    return math.exp(float(losses.mean()))
