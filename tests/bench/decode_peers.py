"""Decoding by other programs: llama.cpp with Q8_0 and CTranslate2 with int8, each from a file of random weights.

This runs in a Python that has them (`llama-cpp-python` and `gguf`, `ctranslate2`), which need not have tinytorch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.decode_shapes import PROMPT, Shape, Text

_KEPT: list[Any] = []  # what C code holds a pointer to, which Python must not free


def llama_cpp(shape: Shape, threads: int, folder: Path) -> Text:
    """Return a text by llama.cpp's own functions: a token at a time, the best of its scores."""
    llama: Any = import_module("llama_cpp")
    path = folder / "model.gguf"
    if not path.exists():
        _write_gguf(shape, path)
    _KEPT.append(llama.llama_log_callback(lambda *_: None))
    llama.llama_log_set(_KEPT[-1], ctypes.c_void_p(0))
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    settings = llama.llama_context_default_params()
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = shape.length, threads, threads
    settings.flash_attn_type = int(shape.width > 128)  # whichever is faster: 220 against 300 µs, 6.4 against 7.1 ms
    context = llama.llama_init_from_model(model, settings)
    if not context:
        raise RuntimeError(f"llama.cpp does not read {path}")
    memory, token = llama.llama_get_memory(context), (llama.llama_token * 1)(1)

    _KEPT.append(token)
    batch = llama.llama_batch_get_one(token, 1)

    def step() -> None:
        if llama.llama_decode(context, batch):
            raise RuntimeError("llama.cpp decoded no token")

    for _ in range(PROMPT):
        step()
    # The scores of the last token are where they were; to ask for them is to wait for them.
    scores = np.ctypeslib.as_array(llama.llama_get_logits(context), (shape.vocab,))

    def text() -> int:
        llama.llama_memory_seq_rm(memory, 0, PROMPT, -1)
        for _ in range(shape.length - PROMPT):
            step()
            llama.llama_get_logits(context)
            scores.argmax()
        return shape.length - PROMPT

    return text


def ctranslate2(shape: Shape, threads: int, folder: Path) -> Text:
    """Return a text by CTranslate2's generator, greedily from a prompt of one token to the last position."""
    library: Any = import_module("ctranslate2")
    path = folder / "ctranslate2"
    if not path.exists():
        _write_ctranslate2(library, shape, path)
    generator = library.Generator(str(path), compute_type="int8", inter_threads=1, intra_threads=threads)
    length = shape.length - 1

    def text() -> int:
        # The end of a text has a token of its own, which min_length keeps from being taken.
        (result,) = generator.generate_batch(
            [["1"]], max_length=length, min_length=length, sampling_topk=1, include_prompt_in_result=False
        )
        return len(result.sequences_ids[0])

    return text


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return (0.02 * rng.standard_normal(shape, np.float32)).astype(np.float32)


def _gguf_tensors(shape: Shape) -> Iterator[tuple[str, Any]]:
    rng, width = np.random.default_rng(0), shape.width
    one, zero = np.ones(width, np.float32), np.zeros(width, np.float32)
    yield "token_embd.weight", _normal(rng, shape.vocab, width)
    yield "position_embd.weight", _normal(rng, shape.length, width)
    yield "output.weight", _normal(rng, shape.vocab, width)
    yield from (("output_norm.weight", one), ("output_norm.bias", zero))
    for i in range(shape.layers):
        for norm in ("attn_norm", "ffn_norm"):
            yield from ((f"blk.{i}.{norm}.weight", one), (f"blk.{i}.{norm}.bias", zero))
        for name, size in shape.products.items():
            yield f"blk.{i}.{name}.weight", _normal(rng, *size)
            yield f"blk.{i}.{name}.bias", np.zeros(size[0], np.float32)


def _write_gguf(shape: Shape, path: Path) -> None:
    gguf: Any = import_module("gguf")
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(shape.vocab)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.length)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(4 * shape.width)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(1e-5)
    eight = gguf.GGMLQuantizationType.Q8_0
    for name, tensor in _gguf_tensors(shape):
        if tensor.ndim == 2 and name != "position_embd.weight":
            writer.add_tensor(name, gguf.quants.quantize(tensor, eight), raw_dtype=eight)
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_ctranslate2(library: Any, shape: Shape, path: Path) -> None:
    specs, rng = library.specs, np.random.default_rng(0)
    spec = specs.TransformerDecoderModelSpec.from_config(
        shape.layers, shape.heads, activation=specs.Activation.GELUTanh
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = _normal(rng, shape.vocab, shape.width)
    decoder.position_encodings.encodings = _normal(rng, shape.length, shape.width)
    decoder.projection.weight = _normal(rng, shape.vocab, shape.width)
    norms = [decoder.layer_norm]
    for layer in decoder.layer:
        norms += [layer.self_attention.layer_norm, layer.ffn.layer_norm]
        parts = (*layer.self_attention.linear, layer.ffn.linear_0, layer.ffn.linear_1)
        for part, size in zip(parts, shape.products.values(), strict=True):
            part.weight, part.bias = _normal(rng, *size), np.zeros(size[0], np.float32)
    for norm in norms:
        norm.gamma, norm.beta = np.ones(shape.width, np.float32), np.zeros(shape.width, np.float32)
    spec.config.bos_token = spec.config.unk_token = "0"
    spec.config.eos_token = "2"
    spec.register_vocabulary([str(token) for token in range(shape.vocab)])
    spec.validate()
    spec.optimize(quantization="int8")
    path.mkdir()
    spec.save(str(path))
