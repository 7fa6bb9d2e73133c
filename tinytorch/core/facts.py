"""What can be seen of a model at work, as plain values: what its layers give, and what its parameters get.

Standard library only, so that what reads a report needs no arrays. `tinytorch.core.inspection` finds these facts,
`tinytorch.perf.findings` judges them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Activation", "Gradient", "Inspection"]


@dataclass(frozen=True)
class Activation:
    """What a layer gave for a batch; a unit is a channel of an image, else a place of the last axis.

    `dead_units` gave 0 for every sample, and are counted after ReLU only; `saturated` is the share of outputs at the
    flat ends of a sigmoid or tanh, else None.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    zeros: float
    units: int
    dead_units: int | None
    saturated: float | None


@dataclass(frozen=True)
class Gradient:
    """A parameter, the Euclidean norm of its gradient (None if it got none) and of itself, and its number of values."""

    parameter: str
    norm: float | None
    weight_norm: float
    size: int


@dataclass(frozen=True)
class Inspection:
    """What one batch showed on its way forward and back."""

    loss: float
    activations: tuple[Activation, ...]
    gradients: tuple[Gradient, ...]
