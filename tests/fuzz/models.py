"""Model files: headers, structures and arrays of valid ones changed; what loads must run, and be written again."""

from __future__ import annotations

import json
import math
import struct
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import safetensors.numpy

from tests.conformance.layer_examples import EXAMPLES
from tests.fuzz.changes import SIZES, change_bytes, change_tree
from tests.fuzz.failure import Failure
from tests.fuzz.files import Files
from tinytorch.core.transformers import GPT
from tinytorch.errors import TinyTorchError
from tinytorch.models.language_model import LanguageModel
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import LAYERS, dumps, load, loads

__all__ = ["change_array", "check_model", "make_model"]

_KEYS = ("type", "layers", "bias", "format", "input_shape", "dtype", "shape", "data_offsets", "__metadata__", *LAYERS)
_TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
_MOST_VALUES = 1 << 18  # of a network that is run: a larger one may take its time
_MOST_WORK = 1 << 26


def make_model(rng: Random) -> Files:
    """Return a changed model file: its structure, its header, its arrays, or whatever bytes."""
    change = rng.choice((_structure, _structure, _header, _arrays, _arrays, _arrays, change_bytes))
    data = change(rng.choice(_seeds()), rng)
    return {"model.safetensors": change_bytes(data, rng) if rng.random() < 0.05 else data}


def check_model(folder: Path) -> bool:
    """Return whether the file is a model; then it must be writable, and run unless it is large."""
    try:
        model = load(folder / "model.safetensors")
    except TinyTorchError:
        return False
    data = dumps(model)
    if dumps(loads(data)) != data:
        raise Failure("a model changes when it is written and read", repr(model)[:2000])
    shapes = model.named_shapes()
    values = sum(math.prod(after) for _, _, _, after in shapes) + math.prod(model.input_shape)
    kernels = max((math.prod(layer.config().get("kernel_size", [1])) for _, layer, _, _ in shapes), default=1)
    if values <= _MOST_VALUES and len(data) <= _MOST_VALUES and values * kernels * 64 <= _MOST_WORK:
        sample = np.random.default_rng(0).standard_normal((2, *model.input_shape)).astype(np.float32)
        if isinstance(model, LanguageModel):
            sample = np.arange(sample.size, dtype=np.float32).reshape(sample.shape) % model.gpt.vocab_size
        with np.errstate(all="ignore"):
            expected, found = model.predict(sample), InferenceSession(model, batch=2).run(sample)
        if expected.shape != found.shape:
            raise Failure("a session answers in another shape than its model", f"{expected.shape}, {found.shape}")
    return True


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def _whole(header: Any, body: bytes) -> bytes:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + body


def _structure(data: bytes, rng: Random) -> bytes:
    header, body = _parts(data)
    tree = change_tree(json.loads(header["__metadata__"]["tinytorch"]), rng, _KEYS)
    header["__metadata__"]["tinytorch"] = json.dumps(tree)
    return _whole(header, body)


def _header(data: bytes, rng: Random) -> bytes:
    header, body = _parts(data)
    return _whole(change_tree(header, rng, _KEYS), body)


def _arrays(data: bytes, rng: Random) -> bytes:
    """Return the file with arrays of other contents, sizes or types, the header fitting them."""
    header, _ = _parts(data)
    arrays = {name: array.copy() for name, array in safetensors.numpy.load(data).items()}
    for _ in range(rng.choice((1, 1, 2, 3))):
        if arrays:
            name = rng.choice(sorted(arrays))
            arrays[name] = change_array(arrays[name], rng)
    structure = header["__metadata__"]["tinytorch"]
    if rng.random() < 0.3:
        structure = json.dumps(change_tree(json.loads(structure), rng, _KEYS))
    return safetensors.numpy.save(arrays, metadata={"tinytorch": structure})


def change_array(array: np.ndarray, rng: Random) -> np.ndarray:
    """Return an array with other bytes, of another length, or of another type."""
    choice = rng.randrange(8)
    if choice == 0 or not array.size:
        return np.zeros([min(rng.choice((0, 1, 2, *array.shape)), 100) for _ in range(rng.randrange(4))], array.dtype)
    if choice == 1:
        return array.reshape(-1)[: rng.randrange(array.size + 1)]
    if choice == 2:
        return np.concatenate([array.reshape(-1), array.reshape(-1)])
    if choice == 3:
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(_TYPES))
    flat = bytearray(array.tobytes())
    for _ in range(rng.choice((1, 1, 4, len(flat)))):
        at = rng.randrange(array.size) * array.itemsize
        value = rng.choice((rng.choice(SIZES), rng.getrandbits(64))) % (1 << 8 * array.itemsize)
        flat[at : at + array.itemsize] = value.to_bytes(array.itemsize, "little")
    return np.frombuffer(bytes(flat), array.dtype).reshape(array.shape)


@cache
def _seeds() -> tuple[bytes, ...]:
    """Return one file for every kind of layer there is, and two language models."""
    draw = np.random.default_rng(5)
    texts = [LanguageModel(GPT(5, 4, 1, 2, 6, pos_encoding=kind, rng=draw), 4) for kind in ("learned", "sinusoidal")]
    return tuple(dumps(make()) for name in sorted(EXAMPLES) for make in EXAMPLES[name]) + tuple(map(dumps, texts)) * 4
