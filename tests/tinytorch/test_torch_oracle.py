"""PyTorch as an oracle: the same numbers from an independent implementation. Skipped where torch is not installed.

It is no dependency of anything here. To run this file: ``pip install torch`` beside the test extra (2.13.0 was used).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core import optimizers
from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.fitting import FitSettings, fit
from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.losses import BinaryCrossEntropyLoss, CrossEntropyLoss, MSELoss, log_softmax
from tinytorch.core.spatial import AvgPool2d, BatchNorm2d, Conv2d, MaxPool2d
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, clip_grad_norm
from tinytorch.data.split import Split
from tinytorch.models import load_model_module
from tinytorch.models.network import Network, Residual

torch = pytest.importorskip("torch", reason="torch is only an oracle for this file")
F = pytest.importorskip("torch.nn.functional")

SEED = 5


def normal(*shape: int) -> np.ndarray:
    """Return numbers that depend on their shape alone."""
    return np.random.default_rng([SEED, *shape]).standard_normal(shape).astype(np.float32)


def same(ours: Any, theirs: Any, rtol: float = 2e-4, atol: float = 2e-5) -> None:
    """Compare arrays, tensors of either kind, or numbers."""
    exact = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    np.testing.assert_allclose(ours.data if isinstance(ours, Tensor) else ours, exact, rtol=rtol, atol=atol)


def compare(ours: Callable[..., Tensor], theirs: Callable[..., Any], *arrays: np.ndarray, **tolerance: float) -> None:
    """Compare results, and the gradient of every input for a random gradient of the result."""
    a = [Tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, z = ours(*a), theirs(*b)
    same(y, z, **tolerance)
    seed = normal(*y.shape)
    y.backward(seed)
    z.backward(torch.tensor(seed))
    for mine, other in zip(a, b, strict=True):
        same(mine.grad, other.grad, **tolerance)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ReLU(), torch.relu),
        (Sigmoid(), torch.sigmoid),
        (Tanh(), torch.tanh),
        (GELU(), lambda x: x * torch.sigmoid(1.702 * x)),
        (Softmax(), lambda x: torch.softmax(x, -1)),
        (lambda x: log_softmax(x, 1), lambda x: torch.log_softmax(x, 1)),
        (lambda x: x.max(axis=1), lambda x: x.amax(dim=1)),
        (lambda x: x[:, [2, 0, 2]], lambda x: x[:, [2, 0, 2]]),
        (lambda x: (x * x + x) / (x * x + 1), lambda x: (x * x + x) / (x * x + 1)),
        (lambda x: x @ x.transpose(), lambda x: x @ x.transpose(-1, -2)),
    ],
)
def test_operations(ours: Any, theirs: Any) -> None:
    """Values and gradients, from ordinary numbers to large ones."""
    compare(ours, theirs, np.concatenate([normal(2, 3, 4), 40 * normal(2, 3, 4)]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 0), (3, 4)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (4, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3), (5, 1), (4, 4)])
def test_convolution(kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> None:
    """Output and gradients of input, weight and bias for odd kernels, strides and paddings."""
    layer = Conv2d(3, 4, kernel, stride, padding)

    def ours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layer.weight, layer.bias = weight, bias
        return layer(x)

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        return F.conv2d(x, weight, bias, stride, padding)

    compare(ours, theirs, normal(2, 3, 7, 9), normal(4, 3, *kernel), normal(4), atol=1e-4)


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (4, 3)])
@pytest.mark.parametrize(
    ("kernel", "padding"), [((2, 2), (0, 0)), ((3, 3), (1, 1)), ((2, 3), (1, 0)), ((5, 1), (2, 0))]
)
def test_pooling(kernel: Any, stride: Any, padding: Any, is_tied: bool) -> None:
    """Maximum and average, equal values in a window included."""
    x = np.round(normal(2, 3, 7, 9)) if is_tied else normal(2, 3, 7, 9)
    compare(MaxPool2d(kernel, stride, padding), lambda x: F.max_pool2d(x, kernel, stride, padding), x)
    compare(AvgPool2d(kernel, stride, padding), lambda x: F.avg_pool2d(x, kernel, stride, padding), x)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("size", [1.0, 100.0, 1e4, 1e30])
def test_cross_entropy(size: float, smoothing: float) -> None:
    """Extreme logits and smoothed labels."""
    ids = np.arange(9) % 7
    ours, theirs = CrossEntropyLoss(smoothing), torch.tensor(ids)
    logits = size * normal(9, 7)
    compare(lambda x: ours(x, ids), lambda x: F.cross_entropy(x, theirs, label_smoothing=smoothing), logits)


def test_the_other_losses() -> None:
    """Squared error, and binary cross-entropy of probabilities."""
    compare(MSELoss(), F.mse_loss, normal(4, 3), normal(4, 3) + 1)
    wanted = (normal(4, 3) > 0).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-normal(4, 3)))
    ours, theirs = BinaryCrossEntropyLoss(), torch.tensor(wanted)
    compare(lambda p: ours(p, Tensor(wanted)), lambda p: F.binary_cross_entropy(p, theirs), probabilities)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": 0.05}),
        ("SGD", {"lr": 0.05, "momentum": 0.9}),
        ("Adam", {"lr": 0.01}),
        ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4}),
        ("AdamW", {"lr": 0.01}),
    ],
)
def test_optimizers(name: str, settings: dict[str, Any], weight_decay: float) -> None:
    """Fifty steps, with gradients of very different size and a change of the learning rate on the way."""
    ours = Tensor(normal(4, 3))
    theirs = torch.tensor(normal(4, 3), requires_grad=True)
    a = getattr(optimizers, name)([ours], weight_decay=weight_decay, **settings)
    b = getattr(torch.optim, name)([theirs], weight_decay=weight_decay, **settings)
    for step in range(50):
        if step == 20:
            a.lr = b.param_groups[0]["lr"] = settings["lr"] / 2
        grad = normal(step, 4, 3)[0] if step == 1 else np.random.default_rng(step).normal(size=(4, 3))
        ours.grad = np.asarray(grad * (1e-6 if step % 7 == 0 else 1), np.float32)
        theirs.grad = torch.tensor(ours.grad)
        a.step()
        b.step()
    same(ours, theirs)


def test_schedule_and_clipping() -> None:
    """The cosine's whole way down, and one norm over all gradients."""
    schedule = CosineSchedule(0.1, 0.01, 37)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 37, 0.01)
    for epoch in range(38):
        same(schedule.get_lr(epoch), optimizer.param_groups[0]["lr"], rtol=1e-6)
        optimizer.step()
        theirs.step()
    mine, other = Tensor(normal(2, 3)), torch.tensor(normal(2, 3))
    mine.grad, other.grad = 5 * normal(2, 3), torch.tensor(5 * normal(2, 3))
    same(clip_grad_norm([mine], 1.0), torch.nn.utils.clip_grad_norm_([other], 1.0))
    same(mine.grad, other.grad)


def to_torch(layer: Any) -> Any:
    """Return the PyTorch module of a layer or network, with copies of its weights."""
    if isinstance(layer, Network):
        return torch.nn.Sequential(*[to_torch(child) for child in layer.layers])
    if isinstance(layer, Residual):
        return TorchResidual(layer)
    if isinstance(layer, Flatten | ReLU | Tanh):
        return getattr(torch.nn, type(layer).__name__)()
    if isinstance(layer, MaxPool2d | AvgPool2d):
        return getattr(torch.nn, type(layer).__name__)(layer._kernel, layer._stride, layer._padding)
    if isinstance(layer, BatchNorm2d):
        module, names = torch.nn.BatchNorm2d(layer.num_features), {"gamma": "weight", "beta": "bias"}
        state = {names.get(name, name): array for name, array in layer.state().items()}
    elif isinstance(layer, Conv2d):
        sizes = (layer.in_channels, layer.out_channels, layer._kernel, layer._stride, layer._padding)
        module, state = torch.nn.Conv2d(*sizes, bias=layer.bias is not None), layer.state()
    else:
        assert isinstance(layer, Linear)
        module = torch.nn.Linear(layer.in_features, layer.out_features)
        state = {"weight": layer.weight.data.T, "bias": layer.bias.data}
    module.load_state_dict({n: torch.tensor(np.array(a, order="C")) for n, a in state.items()}, strict=False)
    return module


class TorchResidual(torch.nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, layer: Residual) -> None:
        super().__init__()
        self.body = to_torch(layer.body)
        self.shortcut = torch.nn.Identity() if layer.shortcut is None else to_torch(layer.shortcut)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.body(x) + self.shortcut(x))


NETWORKS = [
    ("mlp", (1, 5, 5), {"hidden": [9, 7], "activation": "tanh"}),
    ("cnn", (3, 16, 16), {"width": 4, "depth": 3}),
    ("resnet", (3, 9, 9), {"width": 4, "blocks": [1, 2, 1]}),
]


def build(arch: str, shape: tuple[int, ...], args: dict[str, Any]) -> Network:
    """Return the network from a fixed seed."""
    return load_model_module(arch).build(shape, 5, np.random.default_rng(SEED), **args)


def parameters_like(model: Network, module: Any) -> list[tuple[Tensor, Any]]:
    """Pair our parameters with PyTorch's; a linear weight lies the other way round there."""
    theirs = [p.T if p.ndim == 2 else p for p in module.parameters()]
    return list(zip(model.parameters(), theirs, strict=True))


@pytest.mark.parametrize(("arch", "shape", "args"), NETWORKS)
def test_whole_networks(arch: str, shape: tuple[int, ...], args: dict[str, Any]) -> None:
    """Logits, loss and the gradient of every parameter in training mode; then logits by the running statistics."""
    model = build(arch, shape, args).train()
    module = to_torch(model).train()
    x, ids = normal(6, *shape), np.arange(6) % 5
    logits, wanted = model.forward(Tensor(x)), module(torch.tensor(x))
    same(logits, wanted, atol=1e-4)
    CrossEntropyLoss(0.1)(logits, ids).backward()
    F.cross_entropy(wanted, torch.tensor(ids), label_smoothing=0.1).backward()
    grads = [p.grad.T if p.ndim == 2 else p.grad for p in module.parameters()]
    for ours, grad in zip(model.parameters(), grads, strict=True):
        same(ours.grad, grad, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        same(model.predict(x), module.eval()(torch.tensor(x)), atol=1e-4)


@pytest.mark.parametrize(("arch", "shape", "args"), NETWORKS)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training(arch: str, shape: tuple[int, ...], args: dict[str, Any], optimizer: str) -> None:
    """Two epochs of `fit` take the weights where PyTorch's own loop takes them on the same batches."""
    model = build(arch, shape, args)
    module = to_torch(model)
    split = Split(normal(24, *shape), np.arange(24) % 5, 1.0, (0.0,) * shape[0], (1.0,) * shape[0])
    settings = FitSettings(2, 0.01, optimizer, 8, 0.01, 0.9, "cosine", 0.1, grad_clip=1.0)
    history = fit(model, split, None, settings, seed=3)
    kind, own = {"sgd": (torch.optim.SGD, {"momentum": 0.9}), "adamw": (torch.optim.AdamW, {})}[optimizer]
    theirs = kind(module.parameters(), lr=0.01, weight_decay=0.01, **own)
    rng, losses = np.random.default_rng(3), []
    for lr, chosen in [(lr, batch) for lr in (0.01, 0.005) for batch in np.split(rng.permutation(24), 3)]:
        theirs.param_groups[0]["lr"] = lr
        logits = module(torch.tensor(split.images(chosen)))
        loss = F.cross_entropy(logits, torch.tensor(split.labels[chosen]), label_smoothing=0.1)
        theirs.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        theirs.step()
        losses.append(loss.item())
    same([record["train_loss"] for record in history], np.mean(np.reshape(losses, (2, 3)), axis=1), rtol=1e-4)
    for ours, other in parameters_like(model, module):
        same(ours, other, rtol=1e-2, atol=1e-3)
    with torch.no_grad():
        x = normal(6, *shape)
        same(model.predict(x), module.eval()(torch.tensor(x)), rtol=1e-2, atol=1e-2)
