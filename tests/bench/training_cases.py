"""The cases of the bench `framework` that train, each beside PyTorch: convolution, an MLP's step, a CNN's step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np

from tinytorch.core.activations import ReLU
from tinytorch.core.function import no_grad
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.kernels.calls import using_threads
from tinytorch.kernels.memory import freed_memory_kept
from tinytorch.models import cnn as plain_cnn

__all__ = ["BATCH", "ON_TWO_THREADS", "STEPS", "adam_step", "cnn", "conv"]

Call = Callable[[], Any]

BATCH = 64
STEPS = 4  # in a call, so that what a side begins with counts little: threads that wake
ON_TWO_THREADS = ("CIFAR CNN",)

_process = ExitStack()  # what is set for as long as the process lives


def _torch(threads: int = 1) -> Any:
    torch = import_module("torch")
    torch.set_num_threads(threads)
    return torch


def conv(*, is_backward: bool) -> Mapping[str, Call]:
    """Return a convolution 3→16 with 3x3 of one image of 32x32, forward only or with all gradients."""
    torch = _torch()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 3, 32, 32)).astype(np.float32)
    layer, x = Conv2d(3, 16, 3, padding=1, rng=rng), Tensor(image, requires_grad=is_backward)
    peer = torch.nn.Conv2d(3, 16, 3, padding=1)
    y = torch.from_numpy(image).requires_grad_(is_backward)

    def forward() -> None:
        with no_grad():
            layer.forward(x)

    def peer_forward() -> None:
        with torch.no_grad():
            peer(y)

    def both() -> None:
        for tensor in (x, *layer.parameters()):
            tensor.grad = None
        layer.forward(x).sum().backward()

    def peer_both() -> None:
        y.grad = None
        peer.zero_grad()
        peer(y).sum().backward()

    return {"ours": both, "torch": peer_both} if is_backward else {"ours": forward, "torch": peer_forward}


def adam_step() -> Mapping[str, Call]:
    """Return one training step of 784-256-128-10 on 32 samples: forward, backward, Adam."""
    torch = _torch()
    rng = np.random.default_rng(0)
    inputs, ids = rng.normal(size=(32, 784)).astype(np.float32), rng.integers(0, 10, 32)
    sizes = [(784, 256), (256, 128), (128, 10)]
    layers: list[Any] = [layer for size in sizes for layer in (Linear(*size, rng=rng), ReLU())][:-1]
    model, loss_fn, x = Sequential(layers), CrossEntropyLoss(), Tensor(inputs)
    optimizer = Adam(model.parameters())
    peers = [layer for size in sizes for layer in (torch.nn.Linear(*size), torch.nn.ReLU())][:-1]
    peer, y, targets = torch.nn.Sequential(*peers), torch.from_numpy(inputs), torch.from_numpy(ids)
    peer_optimizer = torch.optim.Adam(peer.parameters(), fused=True)  # quicker than its default

    def step() -> None:
        optimizer.zero_grad()
        loss_fn.forward(model.forward(x), ids).backward()
        optimizer.step()

    def peer_step() -> None:
        peer_optimizer.zero_grad()
        torch.nn.functional.cross_entropy(peer(y), targets).backward()
        peer_optimizer.step()

    return {"ours": step, "torch": peer_step}


def cnn() -> Mapping[str, Call]:
    """Return a training step of the CNN 32-64-128 with batch norm on 64 images of 32x32, on two threads."""
    torch = _torch(2)
    _process.enter_context(using_threads(2))
    _process.enter_context(freed_memory_kept())  # as `fit` does; PyTorch gains by it, too
    rng = np.random.default_rng(0)
    inputs, ids = rng.normal(size=(BATCH, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, BATCH)
    model, loss_fn = plain_cnn.build((3, 32, 32), 10, rng, width=32, depth=3), CrossEntropyLoss()
    optimizer = SGD(model.parameters(), 0.01, 0.9)
    peer = _torch_cnn(torch)
    peer_optimizer = torch.optim.SGD(peer.parameters(), 0.01, 0.9)
    # The layout in which PyTorch's convolutions are fastest on a CPU, as ours have it.
    y, targets = torch.from_numpy(inputs).to(memory_format=torch.channels_last), torch.from_numpy(ids)

    def step() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss_fn.forward(model.forward(Tensor(inputs)), ids).backward()
            optimizer.step()

    def peer_step() -> None:
        for _ in range(STEPS):
            peer_optimizer.zero_grad()
            torch.nn.functional.cross_entropy(peer(y), targets).backward()
            peer_optimizer.step()

    return {"ours": step, "torch": peer_step}


def _torch_cnn(torch: Any) -> Any:
    layers, channels = [], 3
    for width in (32, 64, 128):
        conv = torch.nn.Conv2d(channels, width, 3, padding=1, bias=False)
        layers += [conv, torch.nn.BatchNorm2d(width), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        channels = width
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(128 * 16, 10))
    return network.to(memory_format=torch.channels_last)
