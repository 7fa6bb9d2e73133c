"""Train a network to name the next token of a text: an epoch is as many random windows as cover the text once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinytorch.core.checkpoint import read_checkpoint
from tinytorch.core.language import OPTIMIZERS, TextSettings, fit_text
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.tensor import Tensor
from tinytorch.core.watching import Watch, current_watch
from tinytorch.data.tokens import TextSplit
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.tasks.study import Study

__all__ = ["study", "train"]

# Settings of a training as they are called for images, too; those of `TextSettings` have the same names.
_SHARED = frozenset(
    {
        "accumulation",
        "batch_size",
        "grad_clip",
        "label_smoothing",
        "lr",
        "momentum",
        "optimizer",
        "schedule",
        "warmup",
        "weight_decay",
    }
)


_PROBE_TOKENS = 2048  # of a look: their scores for 1,000 entries are 8 MB


def train(
    model: Network,
    train: TextSplit,
    validation: TextSplit,
    settings: Mapping[str, Any],
    seed: int,
    look: Callable[[int], dict[str, Any] | None] | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place as `fit_text` does; return a record for each epoch, with what `look` saw after it.

    `settings` are those of `FitSettings`, with `warmup`, the steps over which the rate rises, and `accumulation`, the
    batches of an update; a cosine falls to zero. Inside a `watched` block a training that is killed goes on after its
    last epoch, to the same bits. Raises ValueError for bad settings, TinyTorchError for one that means
    nothing to texts.
    """
    kept = _kept(current_watch())
    records = fit_text(model, train.tokens, validation.tokens, _settings(train, settings), seed, kept, look=look)
    return [
        {"epoch": number, **{name: value for name, value in record.items() if name != "step"}}
        for number, record in enumerate(records, start=1)
    ]


def _kept(watch: Watch) -> Path | None:
    """Return where the state of the training is kept: a file that a killed one left is continued, a damaged one not.

    The folder belongs to one training, so that the file is of no other.
    """
    if watch.folder is None:
        return None
    path = watch.folder / "text.npz"
    watch.folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        try:
            read_checkpoint(path)
        except (OSError, ValueError) as error:
            watch.say(f"training begins anew: {error}")
            path.unlink()
        else:
            watch.say("training continues where it was interrupted")
    return path


def study(train: TextSplit, settings: Mapping[str, Any]) -> Study:
    """Return how to look into such a training: by windows of the text. Raises as `train`."""
    chosen = _settings(train, settings)
    inputs, targets = train.windows()
    return Study(
        settings=chosen,
        epochs=settings["epochs"],
        items=len(inputs),
        most=max(1, _PROBE_TOKENS // train.context),
        batch=lambda positions: (inputs[positions], Tensor(targets[positions])),
        loss=CrossEntropyLoss(chosen.label_smoothing).forward,
        optimizer=lambda parameters, lr: OPTIMIZERS[chosen.optimizer](parameters, replace(chosen, lr=lr, min_lr=0.0)),
        first_lr=chosen.rate(0),
    )


def _settings(train: TextSplit, settings: Mapping[str, Any]) -> TextSettings:
    known = _SHARED | {"epochs"}
    if strange := [name for name, value in settings.items() if name not in known and value]:
        raise TinyTorchError(f"{', '.join(strange)} in train is not for texts, which take {', '.join(sorted(known))}")
    chosen = {name: value for name, value in settings.items() if name in _SHARED and value is not None}
    update = chosen.get("batch_size", TextSettings.batch_size) * chosen.get("accumulation", 1) * train.context
    steps = math.ceil((len(train.tokens) - 1) / update)
    return TextSettings(
        **{"warmup": 0, "grad_clip": None, **chosen},
        min_lr=0.0,
        context=train.context,
        steps=settings["epochs"] * steps,
        record_every=steps,
    )
