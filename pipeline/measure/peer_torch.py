"""A network as modules of PyTorch, from our layers' own arrays: the table MODULES, one function a type.

What has no line there is not executed by torch here: quantized layers above all, see `peer_runtimes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tinytorch.core.activations import GELU_SLOPE
from tinytorch.core.layer import Layer
from tinytorch.errors import TinyTorchError

__all__ = ["MODULES", "to_torch"]

Make: TypeAlias = Callable[[Any, Any], Any]  # the torch package and a layer to a module


def to_torch(layer: Layer) -> Any:
    """Return the layer or network as a torch.nn module in eval mode; raises TinyTorchError for a type without one."""
    import torch

    return _module(torch, layer).eval()


def _module(torch: Any, layer: Layer) -> Any:
    kind = type(layer).__name__
    if kind not in MODULES:
        raise TinyTorchError(f"a {kind} has no module of torch (there is one for {', '.join(sorted(MODULES))})")
    return MODULES[kind](torch, layer)


def _network(torch: Any, layer: Any) -> Any:
    return torch.nn.Sequential(*(_module(torch, child) for child in layer.children().values()))


def _residual(torch: Any, layer: Any) -> Any:
    class Residual(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = _module(torch, layer.body)
            self.shortcut = torch.nn.Identity() if layer.shortcut is None else _module(torch, layer.shortcut)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.shortcut(x))

    return Residual()


def _gelu(torch: Any, layer: Any) -> Any:
    class Gelu(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(GELU_SLOPE * x)

    return Gelu()


def _linear(torch: Any, layer: Any) -> Any:
    weight, bias = layer.weight.data, layer.bias
    module = torch.nn.Linear(*weight.shape, bias=bias is not None)
    return _filled(torch, module, weight=weight.T, **({} if bias is None else {"bias": bias.data}))


def _conv(torch: Any, layer: Any) -> Any:
    config, bias = layer.config(), layer.bias
    sizes = (tuple(config[name]) for name in ("kernel_size", "stride", "padding"))
    module = torch.nn.Conv2d(config["in_channels"], config["out_channels"], *sizes, bias=bias is not None)
    return _filled(torch, module, weight=layer.weight.data, **({} if bias is None else {"bias": bias.data}))


def _batch_norm(torch: Any, layer: Any) -> Any:
    state = layer.state()
    module = torch.nn.BatchNorm2d(layer.num_features, layer.eps)
    named = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
    return _filled(torch, module, **{theirs: state[ours] for theirs, ours in named.items()})


def _filled(torch: Any, module: Any, **arrays: Any) -> Any:
    """Put copies of our arrays into a module."""
    for name, array in arrays.items():
        getattr(module, name).data = torch.from_numpy(np.array(array, np.float32, order="C"))
    return module


def _pool(kind: str) -> Make:
    def make(torch: Any, layer: Any) -> Any:
        config = layer.config()
        return getattr(torch.nn, kind)(*(tuple(config[name]) for name in ("kernel_size", "stride", "padding")))

    return make


def _plain(kind: str, *arguments: int) -> Make:
    """Return what makes a module without arrays."""
    return lambda torch, layer: getattr(torch.nn, kind)(*arguments)


MODULES: dict[str, Make] = {
    "AvgPool2d": _pool("AvgPool2d"),
    "BatchNorm2d": _batch_norm,
    "BlockSparseLinear": _linear,
    "Conv2d": _conv,
    "Dropout": _plain("Identity"),
    "Flatten": _plain("Flatten"),
    "GELU": _gelu,
    "Linear": _linear,
    "MaxPool2d": _pool("MaxPool2d"),
    "Network": _network,
    "ReLU": _plain("ReLU"),
    "Residual": _residual,
    "Sigmoid": _plain("Sigmoid"),
    "Softmax": _plain("Softmax", -1),
    "SparseConv2d": _conv,
    "SparseLinear": _linear,
    "Tanh": _plain("Tanh"),
}
