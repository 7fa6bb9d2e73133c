"""Train a network to give what a teacher gives: the baseline, as it was before anything was removed.

The loss is (1 - a) · cross-entropy with the labels + a · T² · KL(teacher ‖ student) at temperature T, a being the
`teacher_weight`: a teacher says of every image how like the other classes it is, which a label does not. Pruned weights
stay zero, as in `finetune`. [Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015]

Measured on the digits, it brought pruned networks no nearer to the baseline's accuracy than `finetune` did, and
temperature 4 less near than 2: a teacher that gets all its training images right says little more than their labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.fitting import fit
from tinytorch.core.losses import CrossEntropyLoss, DistillationBackward
from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes.effect import Effect
from tinytorch.passes.settings import from_params
from tinytorch.passes.training import TrainingSettings, check_trainable, trained_effect
from tinytorch.serialization import clone

__all__ = ["NEEDS", "Settings", "apply"]

Array: TypeAlias = NDArray[Any]

NEEDS = frozenset({"teacher", "train", "validation"})
_COLDEST = 0.01  # a temperature at which the likeliest class is the only one; below, exp() overflows
_BATCH = 1024  # images that the teacher is asked about at once


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """How to train, at which temperature, and which share of the loss is the teacher's.

    Raises ValueError for values out of range.
    """

    temperature: float = 2.0
    teacher_weight: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least, most in (("temperature", _COLDEST, 100), ("teacher_weight", 0, 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {value!r}")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        return from_params(cls, "distill", params)


@dataclass(frozen=True)
class _Lesson:
    """The objective: labels and the teacher's logits (N, C) for all training images."""

    labels: Array
    logits: Array
    settings: Settings

    def targets(self, chosen: Array, /) -> tuple[Tensor, Tensor]:
        """Return the labels and the teacher's logits of these images."""
        return Tensor(self.labels[chosen]), Tensor(self.logits[chosen])

    def loss(self, logits: Tensor, targets: Any, /) -> Tensor:
        """Return the weighted sum of both losses."""
        labels, wanted = targets
        share = self.settings.teacher_weight
        soft: Tensor = DistillationBackward.run(logits, wanted, temperature=self.settings.temperature)
        if share == 1:
            return soft
        hard = CrossEntropyLoss(self.settings.label_smoothing).forward(logits, labels)
        return hard * (1 - share) + soft * share


def apply(
    model: Network, settings: Settings, data: Mapping[str, Any], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the trained network, the effect (sizes stay as they were) and the history, a record for each epoch.

    `data` has the network `teacher`, the split `train` and, if accuracy is to be recorded, `validation`. Raises
    TinyTorchError for a network with quantized layers, which have no gradient, or with other outputs than the teacher.
    """
    check_trainable("distill", model)
    teacher: Network = data["teacher"]
    if (model.input_shape, _outputs(model)) != (teacher.input_shape, _outputs(teacher)):
        raise TinyTorchError(
            f"distill: the teacher maps {teacher.input_shape} to {_outputs(teacher)}, the network {model.input_shape} "
            f"to {_outputs(model)}; they must do the same"
        )
    result = clone(model)
    history = []
    if settings.epochs:
        train: Split = data["train"]
        lesson = _Lesson(train.labels, _logits(teacher, train), settings)
        history = fit(result, train, data.get("validation"), settings, seed, lesson)
    return result, trained_effect("distill", settings, model, result), history


def _outputs(network: Network) -> tuple[int, ...]:
    return network.output_shape(network.input_shape)


def _logits(teacher: Network, train: Split) -> Array:
    parts = [teacher.predict(train.images(slice(i, i + _BATCH))) for i in range(0, len(train), _BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, *_outputs(teacher)), np.float32)
