"""The work that frameworks are compared on: for each op what it computes, and how ours is called for it.

A case is called with the number of a query and gives the answer. What PyTorch is given for the same work, from the very
same arrays, is in `framework_torch`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.activations import ReLU
from tinytorch.core.decoding import Decoder
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Linear
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import Adam
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.core.transformers import GPT
from tinytorch.models import cnn
from tinytorch.models.network import Network
from tinytorch.passes import quantize
from tinytorch.perf.quantization import quantize_model
from tinytorch.runtime.decoding import NativeDecoder, why_not_native
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import clone

__all__ = ["CASES", "Case", "Decoding", "Inference", "LR", "Training", "Work", "make_case"]

Call = Callable[[int], Any]  # from the number of a query to its answer

LR = 1e-3
_CLASSES = 10
_QUERIES = 8  # different inputs that calls go round
_POSITIONS = 32  # of a text at which tokens are decoded, spread over its last three quarters
_LIKE_PYTORCH = quantize.Settings.from_params({"bits": 8, "weights": "per_tensor", "activations": "dynamic"})
_FLOAT = 4  # bytes
_ADAM_PASSES, _ADAM_ARRAYS = 10, 4  # passes over arrays like the weights in a training step, and how many there are


@dataclass(frozen=True)
class Work:
    """What a call has to do: floating-point (or integer) operations, and bytes that are read or written at least.

    A product is two operations. Weights are read once, what goes into and comes out of each layer that holds some is
    moved once. A training step does three times the operations of a forward pass, but for the first layer, whose input
    needs no gradient; it moves ten arrays like the weights (read forward and backward, the gradient written and read,
    for Adam two moments and the weights read and written, and once more the weights), and the activations three times.
    The working set is what calls touch again and again.
    """

    operations: int
    moved_bytes: int
    working_set_bytes: int


@dataclass(frozen=True)
class Inference:
    """A network that answers batches; with `bits` 8 its linear layers multiply integers."""

    model: Network
    queries: NDArray[np.float32]
    bits: int = 32
    called: str = field(default="InferenceSession(network, batch, threads, its kernels chosen by measuring).run(array)")

    @property
    def work(self) -> Work:
        """Count for a call."""
        batch = self.queries.shape[1]
        counted = _counted(self.model, batch)
        touched = sum(held * self.bits // 32 + moved for _, held, moved in counted)
        return Work(sum(flops for flops, _, _ in counted), touched, touched)

    def ours(self, threads: int, choices: Mapping[str, str] | None) -> Call:
        """Return the call, of a network with arrays of its own; `choices` None chooses kernels by measuring."""
        session, queries = self.session(threads, choices), list(self.queries)
        run = session.run
        return lambda number: run(queries[number])

    def session(self, threads: int, choices: Mapping[str, str] | None = None) -> InferenceSession:
        """Return the session that is called."""
        model = clone(self.model)
        if self.bits == 8:
            model = quantize.apply(model, _LIKE_PYTORCH, {}, 0)[0]
        model.eval()
        return InferenceSession(model, self.queries.shape[1], threads, choices or "measure")


@dataclass(frozen=True)
class Training:
    """A training step: forward, cross-entropy, backward, Adam."""

    model: Network
    queries: NDArray[np.float32]
    labels: NDArray[np.int64]
    called: str = "zero_grad(); CrossEntropyLoss.forward(network.forward(batch), labels).backward(); Adam.step()"

    @property
    def work(self) -> Work:
        """Count for a step."""
        counted = _counted(self.model, self.queries.shape[1])
        flops = 3 * sum(flops for flops, _, _ in counted) - counted[0][0]
        held, moved = sum(held for _, held, _ in counted), sum(moved for _, _, moved in counted)
        return Work(flops, _ADAM_PASSES * held + 3 * moved, _ADAM_ARRAYS * held + moved)

    def ours(self, threads: int, choices: Mapping[str, str] | None) -> Call:
        """Return the call: it learns from the batch of that number and returns the loss."""
        model, loss = clone(self.model), CrossEntropyLoss()
        model.train()
        optimizer = Adam(model.parameters(), lr=LR)
        batches, labels = [Tensor(batch) for batch in self.queries], list(self.labels)

        def step(number: int) -> Any:
            optimizer.zero_grad()
            found = loss.forward(model.forward(batches[number]), labels[number])
            found.backward()
            optimizer.step()
            return found.data

        return step


@dataclass(frozen=True)
class Decoding:
    """The next token of a text of `tokens`: query i stands at `positions[i]`, all before it is in the cache."""

    model: GPT
    tokens: NDArray[np.int64]
    positions: tuple[int, ...]
    bits: int = 32
    called: str = "NativeDecoder(GPT, its cache, threads).step(token); Decoder where kernels are not built"

    @property
    def work(self) -> Work:
        """Count for a token, at the mean position: all weights once, and the keys and values of the text so far."""
        model, seen = self.model, int(np.mean(self.positions))
        width = model.embed_dim
        weights = 12 * model.num_layers * width**2 + model.vocab_size * width
        cached = 2 * model.num_layers * seen * width
        moved = weights * self.bits // 8 + _FLOAT * (cached + model.vocab_size)
        return Work(2 * (weights + cached), moved, moved)

    def ours(self, threads: int, choices: Mapping[str, str] | None) -> Call:
        """Return the call, its cache filled with the whole text: a token computed again changes nothing."""
        model = clone_gpt(self.model)
        if self.bits == 8:
            quantize_model(model)
        cache = model.new_cache()
        why = why_not_native(model, cache)
        decoder = Decoder(model, cache) if why else NativeDecoder(model, cache, threads)
        tokens = [np.array([token]) for token in self.tokens]
        for token in tokens:
            decoder.step(token)
        asked = [(position, tokens[position]) for position in self.positions]

        def step(number: int) -> Any:
            cache.seq_pos, token = asked[number]
            return decoder.step(token)

        return step


Case = Inference | Training | Decoding


def make_case(op: str, args: Mapping[str, Any], seed: int) -> Case:
    """Return the case of an op with arguments, its arrays drawn from `seed`."""
    return CASES[op](np.random.default_rng(seed), **args)


def clone_gpt(model: GPT) -> GPT:
    """Return a model that computes the same with arrays of its own."""
    config: dict[str, Any] = dict(model.config())
    made = GPT(**config, rng=np.random.default_rng(0))
    for ours, theirs in zip(made.parameters(), model.parameters(), strict=True):
        ours.data[...] = theirs.data
    return made


def _linear(rng: np.random.Generator, inputs: int, outputs: int, bits: int, batch_size: int) -> Case:
    return _inference(rng, Network({"fc": Linear(inputs, outputs, rng=rng)}, (inputs,)), bits, batch_size)


def _conv2d(
    rng: np.random.Generator, channels: int, filters: int, kernel_size: int, image_size: int, batch_size: int
) -> Case:
    layer = Conv2d(channels, filters, kernel_size, padding=kernel_size // 2, rng=rng)
    return _inference(rng, Network({"conv": layer}, (channels, image_size, image_size)), 32, batch_size)


def _mlp(rng: np.random.Generator, widths: list[int], bits: int, batch_size: int) -> Case:
    return _inference(rng, _perceptron(rng, widths), bits, batch_size)


def _cnn(rng: np.random.Generator, width: int, depth: int, image_size: int, batch_size: int) -> Case:
    return _inference(rng, _images_network(rng, width, depth, image_size), 32, batch_size)


def _train_mlp(rng: np.random.Generator, widths: list[int], batch_size: int) -> Case:
    return _training(rng, _perceptron(rng, widths), batch_size, widths[-1])


def _train_cnn(rng: np.random.Generator, width: int, depth: int, image_size: int, batch_size: int) -> Case:
    return _training(rng, _images_network(rng, width, depth, image_size), batch_size, _CLASSES)


def _decode(
    rng: np.random.Generator, layers: int, width: int, heads: int, vocabulary: int, context: int, bits: int
) -> Case:
    model = GPT(vocabulary, width, layers, heads, context, rng=rng)
    positions = np.linspace(context // 4, context - 1, min(_POSITIONS, context - context // 4)).astype(int)
    return Decoding(model, rng.integers(0, vocabulary, context), tuple(positions.tolist()), bits)


def _inference(rng: np.random.Generator, model: Network, bits: int, batch_size: int) -> Inference:
    return Inference(model, _samples(rng, model, batch_size), bits)


def _training(rng: np.random.Generator, model: Network, batch_size: int, classes: int) -> Training:
    return Training(model, _samples(rng, model, batch_size), rng.integers(0, classes, (_QUERIES, batch_size)))


def _samples(rng: np.random.Generator, model: Network, batch_size: int) -> NDArray[np.float32]:
    return rng.standard_normal((_QUERIES, batch_size, *model.input_shape), np.float32)


def _perceptron(rng: np.random.Generator, widths: list[int]) -> Network:
    layers: dict[str, Layer] = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths), start=1):
        layers[f"fc{number}"] = Linear(inputs, outputs, rng=rng)
        if number < len(widths) - 1:
            layers[f"relu{number}"] = ReLU()
    return Network(layers, (widths[0],))


def _images_network(rng: np.random.Generator, width: int, depth: int, image_size: int) -> Network:
    return cnn.build((3, image_size, image_size), _CLASSES, rng, width=width, depth=depth)


def _counted(model: Network, batch: int) -> list[tuple[int, int, int]]:
    """Return for each layer that holds weights: operations of a batch, bytes of its weights, bytes in and out."""
    return [
        (
            2 * batch * layer.macs(before),
            _FLOAT * layer.parameter_count(),
            _FLOAT * batch * int(np.prod(before) + np.prod(after)),
        )
        for _, layer, before, after in model.named_shapes()
        if layer.parameter_count()
    ]


CASES: Mapping[str, Callable[..., Case]] = {
    "cnn": _cnn,
    "conv2d": _conv2d,
    "decode": _decode,
    "linear": _linear,
    "mlp": _mlp,
    "train_cnn": _train_cnn,
    "train_mlp": _train_mlp,
}
