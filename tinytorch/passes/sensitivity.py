"""How much each layer minds being compressed: one change to one layer at a time, everything else as it was.

Leaves out any training in between, so it says where accuracy is at stake, not what a recipe with finetuning ends with.
Losses are told beside accuracies, because on few hundred images most small changes move no prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS, load_pass
from tinytorch.passes.targets import match
from tinytorch.serialization import stored_bytes

__all__ = ["Change", "Quality", "Trial", "candidates", "quality", "try_changes"]

_BATCH = 1024


@dataclass(frozen=True)
class Change:
    """A pass with its parameters but for the layers; `label` names it, e.g. "bits=4"."""

    label: str
    technique: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Quality:
    """What a network is like: accuracy (0 to 1) and mean cross-entropy (nats) on a split, stored bytes, MACs."""

    accuracy: float
    loss: float
    stored_bytes: int
    macs: int


@dataclass(frozen=True)
class Trial:
    """One change to one layer: what the network is like with it, or None and why the change cannot be made there."""

    layer: str
    change: str
    quality: Quality | None
    reason: str | None


def candidates(model: Network, change: Change, targets: Sequence[str], except_: Sequence[str] = ()) -> list[str]:
    """Return the names of the layers that a change can be tried on, in execution order; globs as in a step.

    Raises TargetError for a glob that matches no layer at all.
    """
    kinds = KINDS[change.technique]
    chosen = match([name for name, _ in model.named_layers()], targets, except_)
    return [name for name, layer in model.named_layers() if name in chosen and type(layer).__name__ in kinds]


def try_changes(
    model: Network, changes: Sequence[Change], layers: Mapping[str, Sequence[str]], data: Mapping[str, Split], seed: int
) -> Iterator[Trial]:
    """Make every change of `changes` to each layer that `layers` lists under its label, one at a time, and yield it.

    `data["validation"]` is judged on; passes read what else they need ("train").
    """
    for change in changes:
        technique = load_pass(change.technique)
        for name in layers[change.label]:
            settings = technique.Settings.from_params({**change.params, "targets": [name]})
            try:
                changed, _, _ = technique.apply(model, settings, data, seed)
            except NoEffectError as error:
                yield Trial(name, change.label, None, f"nothing changes: {error}")
            except TinyTorchError as error:
                yield Trial(name, change.label, None, str(error))
            else:
                yield Trial(name, change.label, quality(changed, data["validation"]), None)


def quality(model: Network, split: Split) -> Quality:
    """Return what the network is like on a split: of images, or of texts, whose samples have an answer a token."""
    right, loss, truth = 0, 0.0, split.labels
    rows = max(1, _BATCH // math.prod(truth.shape[1:]))
    for start in range(0, len(split), rows):
        part = slice(start, start + rows)
        logits, labels = model.predict(split.images(part)).astype(np.float64), truth[part].ravel()
        logits = logits.reshape(len(labels), -1)
        right += int(np.count_nonzero(logits.argmax(axis=1) == labels))
        loss += float(_cross_entropy(logits, labels).sum())
    return Quality(right / truth.size, loss / truth.size, stored_bytes(model), model.macs())


def _cross_entropy(logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses: NDArray[np.float64] = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    return losses
