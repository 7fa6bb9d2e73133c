"""The cases of the bench `framework`: for each one, its sides as calls without arguments."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench import training_cases
from tinytorch.core.decoding import Decoder
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
    "CIFAR CNN": training_cases.cnn,
    "conv": lambda: training_cases.conv(is_backward=False),
    "conv and gradients": lambda: training_cases.conv(is_backward=True),
    "GPT-2 small": gpt2_small,
    "MLP": training_cases.adam_step,
    "small GPT": small_gpt,
}
