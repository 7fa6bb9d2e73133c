"""Automatic differentiation under the course's import path: the engine and every op, gathered from their own files.

Gradients are recorded from import on; there is nothing to enable.
"""

from __future__ import annotations

from tinytorch.core.activations import GELUBackward, ReLUBackward, SigmoidBackward, SoftmaxBackward, TanhBackward
from tinytorch.core.arithmetic import (
    AddBackward,
    DivBackward,
    LinearBackward,
    MatmulBackward,
    MulBackward,
    SubBackward,
)
from tinytorch.core.function import Function, is_grad_enabled, no_grad
from tinytorch.core.losses import BCEBackward, CrossEntropyBackward, LogSoftmaxBackward, MSEBackward
from tinytorch.core.normalization import BatchNorm2dBackward
from tinytorch.core.shaping import (
    EmbeddingBackward,
    MaskedFillBackward,
    MaxBackward,
    MeanBackward,
    PermuteBackward,
    ReshapeBackward,
    SliceBackward,
    SumBackward,
    TransposeBackward,
)
from tinytorch.core.spatial import AvgPool2dBackward, Conv2dBackward, MaxPool2dBackward

__all__ = [
    "AddBackward",
    "AvgPool2dBackward",
    "BCEBackward",
    "BatchNorm2dBackward",
    "Conv2dBackward",
    "CrossEntropyBackward",
    "DivBackward",
    "EmbeddingBackward",
    "Function",
    "GELUBackward",
    "LinearBackward",
    "LogSoftmaxBackward",
    "MSEBackward",
    "MaskedFillBackward",
    "MatmulBackward",
    "MaxBackward",
    "MaxPool2dBackward",
    "MeanBackward",
    "MulBackward",
    "PermuteBackward",
    "ReLUBackward",
    "ReshapeBackward",
    "SigmoidBackward",
    "SliceBackward",
    "SoftmaxBackward",
    "SubBackward",
    "SumBackward",
    "TanhBackward",
    "TransposeBackward",
    "enable_autograd",
    "is_grad_enabled",
    "no_grad",
]


def enable_autograd(quiet: bool = False) -> None:
    """Do nothing: autograd is part of Tensor and always on. Course code calls this; `quiet` has no effect."""
