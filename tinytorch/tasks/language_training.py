"""Train a network to name the next token of a text: an epoch is as many random windows as cover the text once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tinytorch.core.language import TextSettings, fit_text
from tinytorch.data.tokens import TextSplit
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network

__all__ = ["train"]

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


def train(
    model: Network, train: TextSplit, validation: TextSplit, settings: Mapping[str, Any], seed: int
) -> list[dict[str, float | int | None]]:
    """Train `model` in place as `fit_text` does; return a record for each epoch.

    `settings` are those of `FitSettings`, with `warmup`, the steps over which the rate rises, and `accumulation`, the
    batches of an update; a cosine falls to zero. Raises ValueError for bad settings, TinyTorchError for one that means
    nothing to texts.
    """
    known = _SHARED | {"epochs"}
    if strange := [name for name, value in settings.items() if name not in known and value]:
        raise TinyTorchError(f"{', '.join(strange)} in train is not for texts, which take {', '.join(sorted(known))}")
    chosen = {name: value for name, value in settings.items() if name in _SHARED and value is not None}
    update = chosen.get("batch_size", TextSettings.batch_size) * chosen.get("accumulation", 1) * train.context
    steps = math.ceil((len(train.tokens) - 1) / update)
    text_settings = TextSettings(
        **{"warmup": 0, "grad_clip": None, **chosen},
        min_lr=0.0,
        context=train.context,
        steps=settings["epochs"] * steps,
        record_every=steps,
    )
    records = fit_text(model, train.tokens, validation.tokens, text_settings, seed)
    return [
        {"epoch": number, **{name: value for name, value in record.items() if name != "step"}}
        for number, record in enumerate(records, start=1)
    ]
