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
    from tinytorch.core.attention import MultiHeadAttention as MultiHeadAttention
    from tinytorch.core.attention import scaled_dot_product_attention as scaled_dot_product_attention
    from tinytorch.core.dataloader import Compose as Compose
    from tinytorch.core.dataloader import DataLoader as DataLoader
    from tinytorch.core.dataloader import Dataset as Dataset
    from tinytorch.core.dataloader import RandomCrop as RandomCrop
    from tinytorch.core.dataloader import RandomHorizontalFlip as RandomHorizontalFlip
    from tinytorch.core.dataloader import TensorDataset as TensorDataset
    from tinytorch.core.embeddings import Embedding as Embedding
    from tinytorch.core.embeddings import EmbeddingLayer as EmbeddingLayer
    from tinytorch.core.embeddings import PositionalEncoding as PositionalEncoding
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
    from tinytorch.core.tokenization import BPETokenizer as BPETokenizer
    from tinytorch.core.tokenization import CharTokenizer as CharTokenizer
    from tinytorch.core.tokenization import Tokenizer as Tokenizer
    from tinytorch.core.training import CosineSchedule as CosineSchedule
    from tinytorch.core.training import Trainer as Trainer
    from tinytorch.core.training import clip_grad_norm as clip_grad_norm
    from tinytorch.core.transformers import GPT as GPT
    from tinytorch.core.transformers import MLP as MLP
    from tinytorch.core.transformers import LayerNorm as LayerNorm
    from tinytorch.core.transformers import TinyGPT as TinyGPT
    from tinytorch.core.transformers import TransformerBlock as TransformerBlock
    from tinytorch.core.transformers import create_causal_mask as create_causal_mask
    from tinytorch.perf.acceleration import fused_gelu as fused_gelu
    from tinytorch.perf.acceleration import tiled_matmul as tiled_matmul
    from tinytorch.perf.acceleration import vectorized_matmul as vectorized_matmul
    from tinytorch.perf.compression import Compressor as Compressor
    from tinytorch.perf.compression import low_rank_approximate as low_rank_approximate
    from tinytorch.perf.compression import magnitude_prune as magnitude_prune
    from tinytorch.perf.compression import structured_prune as structured_prune
    from tinytorch.perf.memoization import KVCache as KVCache
    from tinytorch.perf.memoization import disable_kv_cache as disable_kv_cache
    from tinytorch.perf.memoization import enable_kv_cache as enable_kv_cache
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
    "tinytorch.core.attention": (
        "MultiHeadAttention",
        "scaled_dot_product_attention",
    ),
    "tinytorch.core.dataloader": (
        "Compose",
        "DataLoader",
        "Dataset",
        "RandomCrop",
        "RandomHorizontalFlip",
        "TensorDataset",
    ),
    "tinytorch.core.embeddings": (
        "Embedding",
        "EmbeddingLayer",
        "PositionalEncoding",
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
    "tinytorch.core.tokenization": (
        "BPETokenizer",
        "CharTokenizer",
        "Tokenizer",
    ),
    "tinytorch.core.training": (
        "CosineSchedule",
        "Trainer",
        "clip_grad_norm",
    ),
    "tinytorch.core.transformers": (
        "GPT",
        "LayerNorm",
        "MLP",
        "TinyGPT",
        "TransformerBlock",
        "create_causal_mask",
    ),
    "tinytorch.perf.acceleration": (
        "fused_gelu",
        "tiled_matmul",
        "vectorized_matmul",
    ),
    "tinytorch.perf.compression": (
        "Compressor",
        "low_rank_approximate",
        "magnitude_prune",
        "structured_prune",
    ),
    "tinytorch.perf.memoization": (
        "KVCache",
        "disable_kv_cache",
        "enable_kv_cache",
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
    "BPETokenizer",
    "BatchNorm2d",
    "BinaryCrossEntropyLoss",
    "CharTokenizer",
    "Compose",
    "Compressor",
    "Conv2d",
    "CosineSchedule",
    "CrossEntropyLoss",
    "DataLoader",
    "Dataset",
    "Dropout",
    "Embedding",
    "EmbeddingLayer",
    "GELU",
    "GPT",
    "KVCache",
    "Layer",
    "LayerNorm",
    "Linear",
    "MLP",
    "MSELoss",
    "MaxPool2d",
    "MultiHeadAttention",
    "PositionalEncoding",
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
    "TinyGPT",
    "Tokenizer",
    "Trainer",
    "TransformerBlock",
    "__version__",
    "benchmarking",
    "capstone",
    "clip_grad_norm",
    "core",
    "create_causal_mask",
    "dequantize_int8",
    "disable_kv_cache",
    "enable_kv_cache",
    "fused_gelu",
    "low_rank_approximate",
    "magnitude_prune",
    "olympics",
    "perf",
    "quantize_int8",
    "quick_profile",
    "scaled_dot_product_attention",
    "structured_prune",
    "tiled_matmul",
    "vectorized_matmul",
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
