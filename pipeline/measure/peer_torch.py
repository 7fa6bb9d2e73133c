"""A network as modules of PyTorch, from our layers' own arrays: the table MODULES, one function a type.

What has no line there is not executed by torch here: quantized layers above all, see `peer_runtimes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import GELU_SLOPE
from tinytorch.core.layer import Layer
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network

__all__ = ["MODULES", "to_torch", "torch_call"]

Call: TypeAlias = Callable[[NDArray[np.float32]], NDArray[Any]]
Make: TypeAlias = Callable[[Any, Any], Any]  # the torch package and a layer to a module


def to_torch(layer: Layer) -> Any:
    """Return the layer or network as a torch.nn module in eval mode; raises TinyTorchError for a type without one."""
    import torch

    return _module(torch, layer).eval()


def torch_call(network: Network) -> Call:
    """Return the call of a network as modules; images that are convolved have channels last, converted in the call.

    That is how convolutions are fastest there (measured: 415 µs instead of 597 for one picture of 32x32 in a network of
    32, 64 and 128 channels, 30 ms instead of 43 for 64), as ours have it.
    """
    import torch

    module, from_numpy = to_torch(network), torch.from_numpy
    if not any(isinstance(one, torch.nn.Conv2d) for one in module.modules()):
        return lambda query: module(from_numpy(query)).numpy()
    layout = torch.channels_last
    module = module.to(memory_format=layout)
    return lambda query: module(from_numpy(query).contiguous(memory_format=layout)).numpy()


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
