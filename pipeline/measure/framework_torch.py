"""The same work in PyTorch, from our own arrays, written as its users write it: eager modules and its own optimizer.

Tensors are made beforehand on both sides; what is timed is the work alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from pipeline.measure.framework_cases import LR, Call, Case, Decoding, Inference, Training
from pipeline.measure.peer_torch import to_torch
from tinytorch.core.activations import GELU_SLOPE
from tinytorch.core.transformers import GPT

__all__ = ["CALLED", "NoInt8", "torch_call", "torch_context"]


class NoInt8(Exception):
    """The PyTorch that is installed has no dynamic quantization."""


def torch_call(case: Case, threads: int) -> Call:
    """Return the call that does a case's work; raises NoInt8 where integers are asked of a PyTorch without them."""
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != threads:  # it can be set once only
        torch.set_num_interop_threads(threads)
    return _CALLS[type(case)](torch, case)


def torch_context(case: Case) -> AbstractContextManager[Any]:
    """Switch gradients off, as a user does around a loop, but where something is trained."""
    import torch

    if isinstance(case, Training):
        return nullcontext()
    context: AbstractContextManager[Any] = torch.inference_mode()
    return context


def _inference(torch: Any, case: Inference) -> Call:
    images = len(case.model.input_shape) == 3
    layout = {"memory_format": torch.channels_last} if images else {}
    module = to_torch(case.model).to(**layout)
    if case.bits == 8:
        module = _in_integers(torch, module)
    batches = [torch.from_numpy(np.array(query)).contiguous(**layout) for query in case.queries]

    return lambda number: module(batches[number])


def _training(torch: Any, case: Training) -> Call:
    layout = {"memory_format": torch.channels_last} if len(case.model.input_shape) == 3 else {}
    module = to_torch(case.model).train().to(**layout)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=True)
    batches = [torch.from_numpy(np.array(query)).contiguous(**layout) for query in case.queries]
    labels = [torch.from_numpy(np.array(one)) for one in case.labels]
    loss_of = torch.nn.functional.cross_entropy

    def step(number: int) -> Any:
        optimizer.zero_grad()
        loss = loss_of(module(batches[number]), labels[number])
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _decoding(torch: Any, case: Decoding) -> Call:
    module = _gpt(torch, case.model).eval()
    if case.bits == 8:
        module = _in_integers(torch, module)
    tokens = [torch.tensor([int(token)]) for token in case.tokens]
    for position, token in enumerate(tokens):
        module(token, position)
    asked = [(tokens[position], position) for position in case.positions]
    return lambda number: module(*asked[number])


def _gpt(torch: Any, model: GPT) -> Any:
    """Return the decoder of one token as a module: one product for queries, keys and values, and a cache of its own."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, block: Any) -> None:
            super().__init__()
            attention = block.attention
            self.heads, self.size = attention.num_heads, attention.head_dim
            self.ln1, self.ln2 = _layer_norm(torch, block.ln1), _layer_norm(torch, block.ln2)
            self.qkv = _joined(torch, [attention.q_proj, attention.k_proj, attention.v_proj])
            self.out = _joined(torch, [attention.out_proj])
            self.up, self.down = _joined(torch, [block.mlp.linear1]), _joined(torch, [block.mlp.linear2])
            self.keys, self.values = torch.zeros(2, 1, self.heads, model.max_seq_len, self.size)

        def forward(self, x: Any, position: int) -> Any:
            q, k, v = self.qkv(self.ln1(x)).view(1, 3, self.heads, 1, self.size).unbind(1)
            self.keys[:, :, position], self.values[:, :, position] = k[:, :, 0], v[:, :, 0]
            seen = self.keys[:, :, : position + 1], self.values[:, :, : position + 1]
            read = nn.functional.scaled_dot_product_attention(q, *seen)
            x = x + self.out(read.view(1, -1))
            hidden = self.up(self.ln2(x))
            return x + self.down(hidden * torch.sigmoid(GELU_SLOPE * hidden))

    class Decoder(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            embedding = model.embedding_layer
            scale = math.sqrt(embedding.embed_dim) if embedding.scale_embeddings else 1.0
            self.tokens = torch.from_numpy(embedding.token_embedding.weight.data * np.float32(scale))
            self.positions = torch.from_numpy(np.array(embedding.position_vectors(), np.float32))
            self.blocks = nn.ModuleList([Block(block) for block in model.blocks])
            self.norm, self.head = _layer_norm(torch, model.ln_f), _joined(torch, [model.lm_head])

        def forward(self, token: Any, position: int) -> Any:
            x = self.tokens[token] + self.positions[position]
            for block in self.blocks:
                x = block(x, position)
            return self.head(self.norm(x))

    return Decoder()


def _layer_norm(torch: Any, layer: Any) -> Any:
    module = torch.nn.LayerNorm(layer.gamma.size, layer.eps)
    module.weight.data, module.bias.data = (torch.from_numpy(np.array(a.data)) for a in (layer.gamma, layer.beta))
    return module


def _joined(torch: Any, layers: list[Any]) -> Any:
    """Return linear layers of the same input as one module that gives their outputs side by side."""
    weight = np.concatenate([np.ascontiguousarray(layer.weight.data.T) for layer in layers])
    biases = [layer.bias.data for layer in layers if layer.bias is not None]
    module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bool(biases))
    module.weight.data = torch.from_numpy(weight)
    if biases:
        module.bias.data = torch.from_numpy(np.concatenate(biases))
    return module


def _in_integers(torch: Any, module: Any) -> Any:
    """Return the module with int8 linear layers, weights with one scale each, inputs with one for each call."""
    quantization: Any = getattr(torch.ao, "quantization", None)
    if not hasattr(quantization, "quantize_dynamic"):
        raise NoInt8(f"PyTorch {torch.__version__} has no torch.ao.quantization.quantize_dynamic any more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, which the record says
        return quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)


_CALLS: Mapping[type, Callable[[Any, Any], Call]] = {
    Decoding: _decoding,
    Inference: _inference,
    Training: _training,
}

# kind of case -> how PyTorch is called, in words for the record
CALLED: Mapping[type, str] = {
    Decoding: "torch.nn modules, eager, in inference_mode, one product for queries, keys and values, "
    "scaled_dot_product_attention over a cache that is allocated once",
    Inference: "torch.nn modules, eager, in inference_mode, images with channels last",
    Training: "torch.nn modules, eager, images with channels last: zero_grad(); cross_entropy(module(batch), labels)"
    ".backward(); torch.optim.Adam(fused=True).step()",
}
