"""The cases of the bench `framework`: for each one, its sides as calls without arguments."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.activations import ReLU
from tinytorch.core.decoding import Decoder
from tinytorch.core.function import no_grad
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import Adam
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.core.tokenization import BPETokenizer
from tinytorch.core.transformers import GPT
from tinytorch.perf.quantization import quantize_model
from tinytorch.runtime.decoding import NativeDecoder

Call = Callable[[], Any]

MEGABYTE = 1_000_000
PROMPT = 16  # a decoded text goes from here to the end of the cache, again and again


def source_text() -> str:
    """Return 1 MB of Python's own library, which has far more distinct words than prose of that size."""
    parts, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        parts.append(path.read_text(encoding="utf-8", errors="replace"))
        size += len(parts[-1])
        if size >= MEGABYTE:
            break
    return "".join(parts)[:MEGABYTE]


def bpe() -> Mapping[str, Call]:
    """Learn 1,000 merges from 1 MB."""
    text = source_text()
    return {"ours": lambda: BPETokenizer(257 + 1000, byte_level=True).train(text)}


def _torch() -> Any:
    torch = import_module("torch")
    torch.set_num_threads(1)
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
    peer_optimizer = torch.optim.Adam(peer.parameters())

    def step() -> None:
        optimizer.zero_grad()
        loss_fn.forward(model.forward(x), ids).backward()
        optimizer.step()

    def peer_step() -> None:
        peer_optimizer.zero_grad()
        torch.nn.functional.cross_entropy(peer(y), targets).backward()
        peer_optimizer.step()

    return {"ours": step, "torch": peer_step}


def _decoding(decoder: type[Any], model: GPT, *settings: int) -> Call:
    cache = model.new_cache()
    step = decoder(model, cache, *settings)
    token = np.array([1])

    def call() -> None:
        if cache.seq_pos >= cache.max_seq_len:
            cache.seq_pos = PROMPT
        step.step(token).argmax()

    cache.seq_pos = PROMPT
    return call


def small_gpt() -> Mapping[str, Call]:
    """Return a token of 4 layers of 128 with 1,000 entries and up to 512 positions: int8, float32, and in NumPy."""
    models = [GPT(1000, 128, 4, 4, 512, rng=np.random.default_rng(0)) for _ in range(2)]
    quantize_model(models[1])
    return {
        "ours": _decoding(NativeDecoder, models[1]),
        "float32": _decoding(NativeDecoder, models[0]),
        "numpy": _decoding(Decoder, models[0]),
    }


def gpt2_small() -> Mapping[str, Call]:
    """Return a token of GPT-2 small's shape with random int8 weights, on one thread and on two."""
    model = GPT(50257, 768, 12, 12, 128, rng=np.random.default_rng(0))
    quantize_model(model)
    return {"ours": _decoding(NativeDecoder, model, 1), "two threads": _decoding(NativeDecoder, model, 2)}


CASES: Mapping[str, Callable[[], Mapping[str, Call]]] = {
    "BPE": bpe,
    "conv": lambda: conv(is_backward=False),
    "conv and gradients": lambda: conv(is_backward=True),
    "GPT-2 small": gpt2_small,
    "MLP": adam_step,
    "small GPT": small_gpt,
}
