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
    from tinytorch.perf.compression import Compressor as Compressor
    from tinytorch.perf.compression import low_rank_approximate as low_rank_approximate
    from tinytorch.perf.compression import magnitude_prune as magnitude_prune
    from tinytorch.perf.compression import structured_prune as structured_prune
    from tinytorch.perf.profiling import Profiler as Profiler
    from tinytorch.perf.profiling import quick_profile as quick_profile
    from tinytorch.perf.quantization import Quantizer as Quantizer
    from tinytorch.perf.quantization import dequantize_int8 as dequantize_int8
    from tinytorch.perf.quantization import quantize_int8 as quantize_int8

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
    "tinytorch.perf.compression": (
        "Compressor",
        "low_rank_approximate",
        "magnitude_prune",
        "structured_prune",
    ),
    "tinytorch.perf.profiling": (
        "Profiler",
        "quick_profile",
    ),
    "tinytorch.perf.quantization": (
        "Quantizer",
        "dequantize_int8",
        "quantize_int8",
    ),
}
SUBMODULES = ("benchmarking", "capstone", "core", "olympics", "perf")
_HOME = {name: module for module, names in MODULES.items() for name in names}

__all__ = [
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm2d",
    "BinaryCrossEntropyLoss",
    "Compose",
    "Compressor",
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
    "Profiler",
    "Quantizer",
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
    "benchmarking",
    "capstone",
    "clip_grad_norm",
    "core",
    "dequantize_int8",
    "low_rank_approximate",
    "magnitude_prune",
    "olympics",
    "perf",
    "quantize_int8",
    "quick_profile",
    "structured_prune",
]


def __getattr__(name: str) -> Any:
    if name in SUBMODULES:
        return import_module(f"tinytorch.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'tinytorch' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
