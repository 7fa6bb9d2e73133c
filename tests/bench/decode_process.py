"""One side of a decoding case: `python -m tests.bench.decode_process CASE SIDE THREADS FOLDER`.

It says `ready`, or `absent` and why; then for every line that it reads, it decodes a text and prints nanoseconds a
token. FOLDER keeps files of weights for the next process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.decode_shapes import PROMPT, SHAPES, Shape, Text


def _ours(decoder: str, bits: int | None, cache: str = "float32") -> Callable[[Shape, int, Path], Text]:
    def side(shape: Shape, threads: int, folder: Path) -> Text:
        np: Any = import_module("numpy")
        transformers: Any = import_module("tinytorch.core.transformers")
        sizes = (shape.vocab, shape.width, shape.layers, shape.heads, shape.length)
        model = transformers.GPT(*sizes, rng=np.random.default_rng(0))
        if bits:
            import_module("tinytorch.perf.quantization").quantize_model(model, bits=bits)
        held = model.new_cache(dtype=cache)
        own = (model, held, threads) if decoder == "NativeDecoder" else (model, held)
        step, token = getattr(transformers, decoder)(*own).step, np.array([1])
        for _ in range(PROMPT):
            step(token)

        def text() -> int:
            held.seq_pos = PROMPT
            for _ in range(shape.length - PROMPT):
                step(token).argmax()
            return shape.length - PROMPT

        return text

    return side


def _peer(name: str) -> Callable[[Shape, int, Path], Text]:
    def side(shape: Shape, threads: int, folder: Path) -> Text:
        made: Text = getattr(import_module("tests.bench.decode_peers"), name)(shape, threads, folder)
        return made

    return side


SIDES: Mapping[str, Callable[[Shape, int, Path], Text]] = {
    "int8": _ours("NativeDecoder", 8),
    "int4": _ours("NativeDecoder", 4),
    "int8, cache int8": _ours("NativeDecoder", 8, "int8"),
    "float32": _ours("NativeDecoder", None),
    "numpy": _ours("Decoder", None),
    "llama.cpp": _peer("llama_cpp"),
    "CTranslate2": _peer("ctranslate2"),
}
PEERS = ("llama.cpp", "CTranslate2")


def main(case: str, side: str, threads: str, folder: str) -> None:
    """Serve one text for each line."""
    try:
        text = SIDES[side](SHAPES[case], int(threads), Path(folder))
    except ImportError as error:
        print(f"absent {error}", flush=True)
        return
    text()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter_ns()
        tokens = text()
        print((time.perf_counter_ns() - began) / tokens, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
