"""tinytorch: a small deep-learning framework with the TinyTorch course's interface.

The names below load their module when first used, so that ``import tinytorch`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytorch.core.activations import GELU as GELU
    from tinytorch.core.activations import ReLU as ReLU
    from tinytorch.core.activations import Sigmoid as Sigmoid
    from tinytorch.core.activations import Softmax as Softmax
    from tinytorch.core.activations import Tanh as Tanh
    from tinytorch.core.dataloader import Compose as Compose
    from tinytorch.core.dataloader import DataLoader as DataLoader
    from tinytorch.core.dataloader import Dataset as Dataset
    from tinytorch.core.dataloader import RandomCrop as RandomCrop
    from tinytorch.core.dataloader import RandomHorizontalFlip as RandomHorizontalFlip
    from tinytorch.core.dataloader import TensorDataset as TensorDataset
    from tinytorch.core.layers import Dropout as Dropout
    from tinytorch.core.layers import Layer as Layer
    from tinytorch.core.layers import Linear as Linear
    from tinytorch.core.layers import Sequential as Sequential
    from tinytorch.core.losses import BinaryCrossEntropyLoss as BinaryCrossEntropyLoss
    from tinytorch.core.losses import CrossEntropyLoss as CrossEntropyLoss
    from tinytorch.core.losses import MSELoss as MSELoss
    from tinytorch.core.optimizers import SGD as SGD
    from tinytorch.core.optimizers import Adam as Adam
    from tinytorch.core.optimizers import AdamW as AdamW
    from tinytorch.core.spatial import AvgPool2d as AvgPool2d
    from tinytorch.core.spatial import BatchNorm2d as BatchNorm2d
    from tinytorch.core.spatial import Conv2d as Conv2d
    from tinytorch.core.spatial import MaxPool2d as MaxPool2d
    from tinytorch.core.tensor import Tensor as Tensor
    from tinytorch.core.training import CosineSchedule as CosineSchedule
    from tinytorch.core.training import Trainer as Trainer
    from tinytorch.core.training import clip_grad_norm as clip_grad_norm

__version__ = "0.1.0"

MODULES = {
    "tinytorch.core.activations": (
        "GELU",
        "ReLU",
        "Sigmoid",
        "Softmax",
        "Tanh",
    ),
    "tinytorch.core.dataloader": (
        "Compose",
        "DataLoader",
        "Dataset",
        "RandomCrop",
        "RandomHorizontalFlip",
        "TensorDataset",
    ),
    "tinytorch.core.layers": (
        "Dropout",
        "Layer",
        "Linear",
        "Sequential",
    ),
    "tinytorch.core.losses": (
        "BinaryCrossEntropyLoss",
        "CrossEntropyLoss",
        "MSELoss",
    ),
    "tinytorch.core.optimizers": (
        "Adam",
        "AdamW",
        "SGD",
    ),
    "tinytorch.core.spatial": (
        "AvgPool2d",
        "BatchNorm2d",
        "Conv2d",
        "MaxPool2d",
    ),
    "tinytorch.core.tensor": ("Tensor",),
    "tinytorch.core.training": (
        "CosineSchedule",
        "Trainer",
        "clip_grad_norm",
    ),
}
_HOME = {name: module for module, names in MODULES.items() for name in names}

__all__ = [
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm2d",
    "BinaryCrossEntropyLoss",
    "Compose",
    "Conv2d",
    "CosineSchedule",
    "CrossEntropyLoss",
    "DataLoader",
    "Dataset",
    "Dropout",
    "GELU",
    "Layer",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "RandomCrop",
    "RandomHorizontalFlip",
    "ReLU",
    "SGD",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Tensor",
    "TensorDataset",
    "Trainer",
    "__version__",
    "clip_grad_norm",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinytorch' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
